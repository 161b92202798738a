"""``trimtab apply``: make it so."""

import click

from trimtab.cli.ask import confirmed
from trimtab.cli.session import Session, because_option, pass_session
from trimtab.cli.watch import outcome_lines, watched
from trimtab.declare import load_project
from trimtab.loop import apply_project, approver_text, make_plan, open_proposals


@click.command()
@click.argument("file", required=False)
@because_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done, like plan.")
@pass_session
def apply(session: Session, file: str | None, because: str, yes: bool, dry_run: bool) -> int:
    """Do what `trimtab plan` says: validate, build features, train, evaluate, register, and ask for approval.

    Killed at any point, it goes on with the next `trimtab apply` or `trimtab up`.
    """
    with session.looking() as store:
        project = load_project(session.project_file(file))
        plan = make_plan(store, project)
    click.echo(str(plan).rpartition("\n")[0] if plan.has_changes and not dry_run else str(plan))
    if dry_run:
        return 0
    # Without changes there may still be the end of a run that was killed after it had put them in force.
    if plan.has_changes and not confirmed("Do this?", yes=yes):
        return 1
    with watched(session) as watch:
        run, outcomes = apply_project(
            session.begin(), project, plan=plan, actor=session.actor, because=because, watch=watch
        )
    for line in outcome_lines(outcomes):
        click.echo(line)
    for proposal in open_proposals(session.store):
        if proposal.project == project.spec.name:
            who = approver_text(proposal.replaces.retraining)
            click.echo(f"The policy of {proposal.model} is proposed; what is in force stays until {who} agrees.")
            click.echo(f"Next: trimtab approve policy {proposal.model} --because '...', or reject it in the same way")
    if run is not None:
        click.echo(f"Done in run {run.id}.")
    return 0
