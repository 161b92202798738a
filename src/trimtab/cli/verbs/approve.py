"""``trimtab approve`` and ``trimtab reject``: say yes or no to a version, or to a proposed policy."""

import click

from trimtab.cli.ask import confirmed
from trimtab.cli.session import Session, because_option, pass_session
from trimtab.evaluation import get_evaluation
from trimtab.loop import (
    Proposal,
    ProposalMissing,
    approve_policy,
    approve_version,
    approver_text,
    open_proposal_of,
    policy_differences,
    reject_policy,
    renew_version,
)
from trimtab.monitoring import foreseen
from trimtab.registry import Status, Version, get_version, reject_version

what_argument = click.argument("what", nargs=-1, required=True, metavar="VERSION | policy MODEL")


@click.command()
@what_argument
@because_option
@click.option(
    "--override", default="", metavar="REASON", help="Approve although the gate did not pass, for this reason."
)
@click.option("--dry-run", is_flag=True, help="Only show what would be approved.")
@click.option("--yes", is_flag=True, help="Never asks; taken for scripts that pass it everywhere.")
@pass_session
def approve(session: Session, what: tuple[str, ...], because: str, override: str, dry_run: bool, yes: bool) -> None:
    """Approve VERSION (as in late@1), sign its release and start its rollout.

    What is approved for a time only is approved again, and stays where it is. With policy MODEL, put the policy in
    force that was proposed for a governed model.
    """
    del yes  # the reason is the confirmation
    model, version = _named(what)
    if model:
        _approve_policy(session, model, because=because, dry_run=dry_run)
        return
    found = session.ask(get_version, version)
    _tell(session, found)
    if dry_run:
        click.echo("Nothing has changed: this would record registry.version-approved and sign a release.")
        return
    if found.status is Status.APPROVED and found.expires_s:
        said = session.ask(renew_version, found.ref, actor=session.actor, because=because, override=override).statement
        click.echo(f"{found.ref} is approved again by {session.who}, until {said.expires_at:%Y-%m-%d %H:%M} UTC")
        return
    done = session.ask(approve_version, found.ref, actor=session.actor, because=because, override=override)
    approval = done.approval
    mark = " (self-approved)" if approval.self_approved else ""
    click.echo(f"{found.ref} is approved by {approval.by}{mark}: {approval.because}")
    share = f" with {done.percent:g} % of the traffic" if done.stage == "canary" else ""
    click.echo(f"It is {'all of the traffic' if done.stage == 'full' else 'a ' + done.stage + share} at {found.model}.")
    click.echo(f"Next: trimtab serve {found.model}, then trimtab predict {found.model} --example")


@click.command()
@what_argument
@because_option
@click.option("--dry-run", is_flag=True, help="Only show what would be rejected.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def reject(session: Session, what: tuple[str, ...], because: str, dry_run: bool, yes: bool) -> int:
    """Reject VERSION (as in late@2): it is never served.

    With policy MODEL, refuse the policy that was proposed for a governed model: what is in force stays.
    """
    model, version = _named(what)
    if model:
        return _reject_policy(session, model, because=because, dry_run=dry_run, yes=yes)
    found = session.ask(get_version, version)
    _tell(session, found)
    if dry_run:
        click.echo("Nothing has changed: this would record registry.version-rejected.")
        return 0
    if not confirmed(f"Reject {found.ref}?", yes=yes or bool(because)):
        return 1
    decided = session.ask(reject_version, found.ref, actor=session.actor, because=because)
    click.echo(f"{found.ref} is rejected by {decided.by}: {decided.because}")
    return 0


def _named(what: tuple[str, ...]) -> tuple[str, str]:
    """Return the model whose policy is meant, or else the version. Raises ``click.UsageError``."""
    match what:
        case ("policy", model):
            return model, ""
        case (version,):
            return "", version
        case _:
            raise click.UsageError("name a version, as in late@1, or a policy, as in: policy late")


def _approve_policy(session: Session, model: str, *, because: str, dry_run: bool) -> None:
    proposal = _proposal(session, model)
    if dry_run:
        click.echo("Nothing has changed: this would record loop.policy-approved and put it in force.")
        return
    done = session.ask(approve_policy, proposal.id, actor=session.actor, because=because)
    click.echo(f"The policy of {done.model} is in force, approved by {session.who}: {because}")


def _reject_policy(session: Session, model: str, *, because: str, dry_run: bool, yes: bool) -> int:
    proposal = _proposal(session, model)
    if dry_run:
        click.echo("Nothing has changed: this would record loop.policy-rejected.")
        return 0
    if not confirmed(f"Reject the proposed policy of {model}?", yes=yes or bool(because)):
        return 1
    session.ask(reject_policy, proposal.id, actor=session.actor, because=because)
    click.echo(f"The proposed policy of {model} is rejected by {session.who}: {because}")
    return 0


def _proposal(session: Session, model: str) -> Proposal:
    """Return the proposal that waits, after showing what it would change. Raises ``ProposalMissing``."""
    found = session.ask(open_proposal_of, model)
    if found is None:
        raise ProposalMissing(f"no policy of {model[:80]!r} waits for a yes or a no", where="policies")
    click.echo(f"{model}: another policy, proposed by {found.by} at {found.at:%Y-%m-%d %H:%M} ({found.policy.digest})")
    for line in policy_differences(found.replaces, found.policy):
        click.echo(f"  {line}")
    click.echo(f"  asks for {approver_text(found.replaces.retraining)}")
    return found


def _tell(session: Session, version: Version) -> None:
    """Show what is being decided on: the gate's verdict, line by line."""
    click.echo(f"{version.ref}: {version.status.value}, registered by {version.registered_by}")
    if version.evaluation_id is None:
        click.echo("  never evaluated")
        return
    report = session.ask(get_evaluation, version.evaluation_id).report
    for line in report.verdict.lines if report.verdict else ():
        click.echo(f"  {'passed' if line.passed else 'FAILED'}  {line.text}")
    if report.evaluation.maturity.warning:
        click.echo(f"  warning {report.evaluation.maturity.warning}")
    found = session.ask(foreseen, version.ref)
    if found.dry_run is not None:
        click.echo(f"  monitor {found.dry_run.text}")
    click.echo(f"  level   {found.level.text}")
