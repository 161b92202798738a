"""``/ui/lineage``: what something was made from and what depends on it, as a graph, as of any past position."""

from collections.abc import Iterable, Mapping
from itertools import islice
from urllib.parse import quote

import msgspec

from trimtab.governance import Graph, LineageNode, dependent_decisions, lineage, reached
from trimtab.kernel import Body, Call, Invalid, Route, is_id
from trimtab.store import Subject
from trimtab.ui.draw import Graph as Drawn
from trimtab.ui.draw import Node, layered_graph
from trimtab.ui.links import link_of
from trimtab.ui.render import brief
from trimtab.ui.screen import Desk, shown_at

AT = "/ui/lineage"
NODES_AT_MOST = 60
"""A graph with more is cut to what lies nearest to its subject; the table has all of it, up to its own limit."""
ROWS_AT_MOST = 200
DECISIONS_AT_MOST = 15
MISSING_SHOWN = 20
EXAMPLES = ("version", "source", "snapshot", "features", "endpoint", "decision", "row")
_PAGES = {"decision": "/ui/decisions/"}


class NodeLine(msgspec.Struct, frozen=True):
    """A node as a row: where its own page is, and how it hangs together with the subject."""

    node: LineageNode
    place: str
    href: str


def routes(desk: Desk) -> list[Route]:
    """Return the page of lineage."""
    store = desk.rooms.store

    def show(call: Call) -> Body:
        subject = call.query.get("about", "")
        position = _position(call.query)
        if not subject:
            return desk.pages.page(
                call, "lineage.html", at="/ui/audit", subject="", graph=None, drawn=None, lines=[], decisions=[],
                more=False, near=0, query_values={}, size=desk.rooms.events(), examples=EXAMPLES,
            )  # fmt: skip
        graph = lineage(store, subject, position=position)
        near = _near(graph)
        found = list(islice(dependent_decisions(store, subject, position=position), DECISIONS_AT_MOST + 1))
        return desk.pages.page(
            call, "lineage.html", at="/ui/audit", subject=graph.subject, graph=graph, drawn=_drawn(graph, near),
            lines=_lines(graph)[:ROWS_AT_MOST], decisions=found[:DECISIONS_AT_MOST],
            more=len(found) > DECISIONS_AT_MOST, near=len(near), missing=graph.missing[:MISSING_SHOWN],
            query_values=dict(call.query), size=desk.rooms.events(), examples=EXAMPLES,
        )  # fmt: skip

    return [shown_at(AT, show, about="What something was made from, and what depends on it")]


def _position(query: Mapping[str, str]) -> int | None:
    asked = query.get("position", "").strip()
    if not asked:
        return None
    if not (asked.isascii() and asked.isdigit() and len(asked) < 16):
        raise Invalid(
            f"{asked[:40]!r} is not a position", where="query position", why="Positions count from 0.",
            next="leave position out for now",
        )  # fmt: skip
    return int(asked)


def _near(graph: Graph) -> list[str]:
    """Return the ids of the nodes that lie nearest to the subject, itself first, at most as many as can be drawn."""
    beside: dict[str, list[str]] = {}
    for edge in graph.edges:
        beside.setdefault(edge.source, []).append(edge.target)
        beside.setdefault(edge.target, []).append(edge.source)
    found, waiting = {graph.subject: None}, [graph.subject]
    while waiting and len(found) < NODES_AT_MOST:
        for id_ in beside.get(waiting.pop(0), ()):
            if id_ not in found and len(found) < NODES_AT_MOST:
                found[id_] = None
                waiting.append(id_)
    return list(found)


def _drawn(graph: Graph, near: Iterable[str]) -> Drawn:
    kept = set(near)
    needs: dict[str, list[str]] = {}
    for edge in graph.edges:
        if edge.source in kept and edge.target in kept:
            needs.setdefault(edge.target, []).append(edge.source)
    return layered_graph([
        Node(
            name=node.id, title=node.kind if is_id(node.name) else brief(node.name),
            needs=tuple(needs.get(node.id, ())), said=node.said if is_id(node.name) else f"{node.kind} {node.said}",
            tone="go" if node.id == graph.subject else "off", href=f"{AT}?about={quote(node.id, safe=':@')}",
        )
        for node in graph.nodes if node.id in kept
    ])  # fmt: skip


def _lines(graph: Graph) -> list[NodeLine]:
    behind, ahead = (reached(graph.edges, graph.subject, down=down) for down in (False, True))
    lines = []
    for node in graph.nodes:
        place = "behind it" if node.id in behind else "depends on it" if node.id in ahead else "itself"
        lines.append(NodeLine(node, place, _href(node)))
    return lines


def _href(node: LineageNode) -> str:
    """Return the page of what a node stands for."""
    if node.kind in _PAGES:
        return _PAGES[node.kind] + node.name
    name = node.name.partition("@")[0] if node.kind == "features" else node.name
    return link_of(Subject(node.kind, name)).href
