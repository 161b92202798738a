"""``trimtab approve`` and ``trimtab reject``: say yes or no to a version."""

import click

from trimtab.cli.ask import confirmed
from trimtab.cli.session import Session, because_option, pass_session
from trimtab.evaluation import get_evaluation
from trimtab.loop import approve_version
from trimtab.monitoring import dry_run, get_reference, level_power
from trimtab.registry import Version, get_version
from trimtab.registry import reject as reject_version


@click.command()
@click.argument("version")
@because_option
@click.option(
    "--override", default="", metavar="REASON", help="Approve although the gate did not pass, for this reason."
)
@click.option("--dry-run", is_flag=True, help="Only show what would be approved.")
@click.option("--yes", is_flag=True, help="Never asks; taken for scripts that pass it everywhere.")
@pass_session
def approve(session: Session, version: str, because: str, override: str, dry_run: bool, yes: bool) -> None:
    """Approve VERSION (as in late@1), sign its release and start its rollout."""
    del yes  # the reason is the confirmation
    found = get_version(session.store, version)
    _tell(session, found)
    if dry_run:
        click.echo("Nothing has changed: this would record registry.version-approved and sign a release.")
        return
    done = approve_version(session.store, found.ref, actor=session.actor, because=because, override=override)
    approval = done.approval
    mark = " (self-approved)" if approval.self_approved else ""
    click.echo(f"{found.ref} is approved by {approval.by}{mark}: {approval.because}")
    share = f" with {done.percent:g} % of the traffic" if done.stage == "canary" else ""
    click.echo(f"It is {'all of the traffic' if done.stage == 'full' else 'a ' + done.stage + share} at {found.model}.")
    click.echo(f"Next: trimtab serve {found.model}, then trimtab predict {found.model} --example")


@click.command()
@click.argument("version")
@because_option
@click.option("--dry-run", is_flag=True, help="Only show what would be rejected.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@pass_session
def reject(session: Session, version: str, because: str, dry_run: bool, yes: bool) -> int:
    """Reject VERSION (as in late@2): it is never served."""
    found = get_version(session.store, version)
    _tell(session, found)
    if dry_run:
        click.echo("Nothing has changed: this would record registry.version-rejected.")
        return 0
    if not confirmed(f"Reject {found.ref}?", yes=yes or bool(because)):
        return 1
    with session.store.change(session.actor, because) as change:
        decided = reject_version(change, found)
    click.echo(f"{found.ref} is rejected by {decided.by}: {decided.because}")
    return 0


def _tell(session: Session, version: Version) -> None:
    """Show what is being decided on: the gate's verdict, line by line."""
    click.echo(f"{version.ref}: {version.status.value}, registered by {version.registered_by}")
    if version.evaluation_id is None:
        click.echo("  never evaluated")
        return
    report = get_evaluation(session.store, version.evaluation_id).report
    for line in report.verdict.lines if report.verdict else ():
        click.echo(f"  {'passed' if line.passed else 'FAILED'}  {line.text}")
    if report.evaluation.maturity.warning:
        click.echo(f"  warning {report.evaluation.maturity.warning}")
    reference = get_reference(session.store, version.model, version.number)
    if reference is not None:
        click.echo(f"  monitor {dry_run(reference).text}")
    power = level_power(
        session.store, version.model, version=version.number, at=session.store.clock.now(), model=version.model
    )
    click.echo(f"  level   {power.text}")
