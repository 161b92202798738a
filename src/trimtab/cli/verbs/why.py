"""``trimtab why``: explain one decision."""

from collections.abc import Iterator

import click

from trimtab.cli.output import show_one, text_of, text_option, took
from trimtab.cli.session import Session, pass_session
from trimtab.governance import Why
from trimtab.governance import why as explain


@click.command()
@click.argument("decision")
@text_option
@pass_session
def why(session: Session, decision: str, form: str) -> None:
    """Explain DECISION, by its id: row, features and their ages, model, data, code, evaluation, who approved it."""
    found = session.ask(explain, decision)
    if form != "text":
        show_one(found, form=form)
        return
    for line in lines_of(found):
        click.echo(line)


def lines_of(why: Why) -> Iterator[str]:
    """Return the explanation as a person reads it, from the answer back to the data."""
    decision = why.decision
    yield f"Decision {decision.id}"
    yield _line("answered", f"{text_of(decision.at)} by {decision.model}@{decision.version} ({decision.reason})")
    yield _line("result", text_of(decision.result))
    yield _line("took", took(decision.took_s))
    for text in decision.broken:
        yield _line("breaks", f"its contract: {text}")
    if decision.key:
        yield _line("row", text_of(decision.key))
    yield _line("known at", text_of(decision.as_of))
    width = max((len(used.name) for used in why.features), default=0)
    yield "Features"
    for used in why.features:
        age = "" if used.age_s is None else f"{_age(used.age_s)} old"
        yield f"  {used.name:<{width}}  {text_of(used.value):<12}  {age}".rstrip()
    version = why.version
    if version is not None:
        yield f"Version {version.ref}"
        yield _line("trained by", f"{version.registered_by}, {text_of(version.registered_at)}")
        yield _line("model", f"{version.artifacts.model} ({version.artifacts.format})")
        yield _line("code", version.lineage.code)
        yield _line("environment", version.lineage.environment)
        if version.params:
            yield _line("params", text_of(version.params))
    for snapshot in why.snapshots:
        yield f"Data {snapshot.source}"
        aside = f", {text_of(snapshot.set_aside_rows)} set aside" if snapshot.set_aside_rows else ""
        yield _line(
            "snapshot", f"{snapshot.id}, {text_of(snapshot.rows)} rows{aside}, taken {text_of(snapshot.taken_at)}"
        )
    yield from _judged(why)
    for missing in why.missing:
        yield f"Missing: {missing}"


def _judged(why: Why) -> Iterator[str]:
    if why.evaluation is not None:
        verdict = why.evaluation.report.verdict
        yield f"Evaluation on {text_of(why.evaluation.record.n)} rows"
        for line in verdict.lines if verdict else ():
            yield f"  {'passed' if line.passed else 'FAILED'}  {line.text}"
    if why.approval is not None:
        approval = why.approval
        mark = ", self-approved" if approval.self_approved else ""
        yield f"Approved by {approval.by}{mark}, {text_of(approval.at)}: {approval.because}"
        if approval.override:
            yield _line("override", approval.override)


def _line(name: str, text: str) -> str:
    return f"  {name:<12} {text}"


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
