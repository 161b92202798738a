"""Sources and snapshots."""

from typing import Any

from trimtab.cli.nouns import past
from trimtab.cli.nouns.noun import Asked, Noun, missing
from trimtab.cli.output import Column
from trimtab.cli.session import Session
from trimtab.data import Snapshot, get_snapshot, latest_snapshot, list_snapshots, list_sources
from trimtab.kernel import percent

_COLUMNS = [
    Column("SOURCE", lambda s: s.source), Column("CONTRACT", lambda s: s.contract),
    Column("ROWS", lambda s: s.rows, number=True), Column("SET ASIDE", lambda s: s.set_aside_rows, number=True),
    Column("FROM", lambda s: s.event_time_from), Column("TO", lambda s: s.event_time_to),
    Column("TAKEN", lambda s: s.taken_at), Column("SNAPSHOT", lambda s: s.id),
]  # fmt: skip
_EMPTY = "No snapshot yet. Declare a source and apply it:\n  trimtab init\n  trimtab apply"


def _sources(session: Session, asked: Asked) -> Any:
    if not asked.name:
        return session.ask(list_sources)
    found = session.ask(latest_snapshot, asked.name)
    if found is None:
        raise missing("sources", asked.name, why="No snapshot was ever taken of a source with this name.")
    return found


def _snapshots(session: Session, asked: Asked) -> Any:
    if asked.name.startswith("snap_"):
        return session.ask(get_snapshot, asked.name)
    found = list(session.ask(list_snapshots, asked.name or None, limit=asked.limit).items)
    if asked.name and not found:
        raise missing("snapshots", asked.name, why="It is neither a snapshot's id nor a source that was ever read.")
    return found


def _facts(snapshot: Snapshot) -> list[tuple[str, Any]]:
    return [
        ("source", snapshot.source), ("contract", snapshot.contract), ("snapshot", snapshot.id),
        ("rows", snapshot.rows), ("set aside", snapshot.set_aside_rows),
        ("broken promises", "\n".join(broken.sentence for broken in snapshot.breaks) or "none"),
        ("events", f"{snapshot.event_time_from:%Y-%m-%d %H:%M} to {snapshot.event_time_to:%Y-%m-%d %H:%M}"),
        ("taken", f"{snapshot.taken_at:%Y-%m-%d %H:%M:%S} by {snapshot.taken_by}"), ("digest", snapshot.digest),
        ("columns", "\n".join(f"{column.name} ({column.kind}), {percent(column.missing)} missing"
                              for column in snapshot.profile.columns)),
    ]  # fmt: skip


NOUNS = {
    "sources": Noun(find=_sources, columns=_COLUMNS, empty=_EMPTY, facts=_facts, past=past.sources),
    "snapshots": Noun(find=_snapshots, columns=_COLUMNS, empty=_EMPTY, facts=_facts, past=past.snapshots),
}
