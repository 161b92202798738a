"""What something was made from, and what depends on it."""

from typing import Any

from trimtab.cli.nouns.noun import Asked, Noun
from trimtab.cli.output import Column
from trimtab.cli.session import Session
from trimtab.governance import Graph, lineage, lineage_subjects, position_at


def _lineage(session: Session, asked: Asked) -> Any:
    position = asked.at_position if asked.at is None else session.ask(position_at, asked.at)
    if not asked.name:
        return list(session.ask(lineage_subjects, position=position)[: asked.limit])
    return session.ask(lineage, asked.name, position=position)


def _facts(graph: Graph) -> list[tuple[str, Any]]:
    """Say of each thing what it is and what it came from, sources first."""
    names = {node.id: f"{node.kind} {node.name}" for node in graph.nodes}
    lines: list[tuple[str, Any]] = [("lineage of", graph.subject), ("as of position", graph.position)]
    for node in graph.nodes:
        said = [f"{node.name}{f': {node.said}' if node.said else ''}"]
        said += [f"  {edge.how}, {names[edge.source]}" for edge in graph.edges if edge.target == node.id]
        lines.append((node.kind, "\n".join(said)))
    return lines + [("missing", line) for line in graph.missing]


NOUNS = {
    "lineage": Noun(
        find=_lineage,
        past=_lineage,
        by_position=True,
        columns=[
            Column("SUBJECT", lambda n: n.id), Column("SAID", lambda n: n.said or None),
            Column("EVENT", lambda n: n.position, number=True),
        ],
        empty="Nothing was made yet that could be followed:\n  trimtab apply",
        facts=_facts,
    )
}  # fmt: skip
