"""Follow something back to what it was made from, and on to everything that depends on it, as of any position."""

import heapq
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trimtab.governance.history import events_of, size_at
from trimtab.governance.projection import READ, Projection, Sealed
from trimtab.governance.records import Graph, LineageEdge, LineageNode
from trimtab.governance.traces import MOST, decision_trace, row_trace
from trimtab.kernel import Invalid, NotFound
from trimtab.registry import VersionRef, get_version
from trimtab.serving import removed_segments
from trimtab.store import Store, event_at, ledger_size

KINDS = (
    "decision", "row", "source", "snapshot", "features", "evaluation", "run", "pipeline-run", "version", "approval",
    "release", "endpoint", "decisions", "turn",
)  # fmt: skip
"""What can be asked about, as ``kind:name``; ``late@2`` stands for ``version:late@2``."""


def lineage(store: Store, subject: str, *, position: int | None = None) -> Graph:
    """Return what a subject depends on and what depends on it, as of a position of the ledger (default: now).

    ``subject`` is ``kind:name`` with one of ``KINDS``: ``decision:01J…``, ``late@2``, ``snapshot:snap_…``,
    ``source:flights``, ``endpoint:late``; a row is ``row:SOURCE/field=value,field=value`` by its key. Raises
    ``Invalid`` for a subject of no kind, ``NotFound`` for one that the ledger did not know at that position.
    """
    return _graph(store, subject, position=position, most=MOST)


def _graph(store: Store, subject: str, *, position: int | None, most: int | None) -> Graph:
    """Return the graph; ``most`` decisions about one row are in it."""
    size = size_at(store, position)
    kind, name = _parsed(subject)
    told = projection_at(store, size=size)
    if kind == "decision":
        subject = decision_trace(store, told, name, as_of=None if position is None else _moment(store, size))
    elif kind == "row":
        subject = row_trace(store, told, name, most=most)
    else:
        subject = _known(told, kind, name, size=size)
    behind, ahead = (reached(told.edges.values(), subject, down=down) for down in (False, True))
    kept = {subject, *behind, *ahead}
    edges = [edge for edge in told.edges.values() if edge.source in kept and edge.target in kept]
    nodes = _in_order({id_: told.nodes[id_] for id_ in told.nodes if id_ in kept}, edges)
    return Graph(subject=subject, position=size - 1, nodes=nodes, edges=tuple(edges), missing=tuple(told.missing))


def lineage_subjects(store: Store, *, position: int | None = None) -> tuple[LineageNode, ...]:
    """Return everything that ``lineage`` could follow by its events, the newest first."""
    told = projection_at(store, size=size_at(store, position))
    return tuple(sorted(told.nodes.values(), key=lambda node: node.position or 0, reverse=True))


def projection_at(store: Store, *, size: int) -> Projection:
    """Return the projection of the first ``size`` events."""
    return Projection(lambda ref: get_version(store, ref)).apply(events_of(store, type=READ, size=size))


def dependent_decisions(store: Store, subject: str, *, position: int | None = None, after: str = "") -> Iterator[str]:
    """Yield the id of every sealed decision that depends on a subject, in their order, behind ``after``.

    They are those of the versions that ``lineage`` finds behind it; all that an endpoint took; for a row, the decisions
    about that row too, and for one decision itself. Decisions in open segments are listed once their segment is sealed,
    as only then the ledger vouches for them; removed ones are not. Segments are read one by one as their ids are asked
    for. Raises what ``lineage`` raises.
    """
    graph = _graph(store, subject, position=position, most=None)
    ahead = {graph.subject, *reached(graph.edges, graph.subject, down=True)}
    versions = {id_.partition(":")[2] for id_ in ahead if id_.startswith("version:")}
    if graph.subject.startswith("decisions:"):
        versions = {graph.subject.partition(":")[2].partition(" at ")[0]}
    found = sorted(id_.partition(":")[2] for id_ in ahead if id_.startswith("decision:"))
    last = after
    for one in _still_there(store, projection_at(store, size=graph.position + 1)):
        while found and found[0] < one.first_id:
            if (id_ := heapq.heappop(found)) > last:
                last = id_
                yield id_
        chosen = set(one.by_version)
        if graph.subject != f"endpoint:{one.endpoint}":
            chosen &= versions
        if chosen and one.last_id > after:
            for id_ in _ids_in(store, one.digest, chosen):
                heapq.heappush(found, id_)
    for id_ in sorted(set(found)):
        if id_ > last:
            yield id_


def _still_there(store: Store, told: Projection) -> list[Sealed]:
    """Return the sealed segments that were not removed since, in the order of their decisions."""
    gone = removed_segments(store)
    return sorted((one for one in told.sealed if one.id not in gone), key=lambda segment: segment.first_id)


def _moment(store: Store, size: int) -> datetime | None:
    """Return the time of the last of the first ``size`` events; None when it is the newest: that moment is not over."""
    return event_at(store, size - 1).at if size < ledger_size(store) else None


def _ids_in(store: Store, digest: str, versions: set[str]) -> Iterator[str]:
    table = pq.read_table(store.blobs.local_path(digest), columns=["id", "model", "version"])
    refs = pc.binary_join_element_wise(table["model"], table["version"].cast("string"), "@")
    chosen = table.filter(pc.is_in(refs, value_set=pa.array(sorted(versions))))
    yield from chosen["id"].to_pylist()


def _parsed(subject: str) -> tuple[str, str]:
    kind, colon, name = subject.partition(":")
    if not colon and "@" in subject:
        return "version", subject
    if kind not in KINDS or not name:
        raise Invalid(
            f"{subject[:100]!r} names nothing whose lineage could be shown",
            where="lineage subject",
            why=f"A subject is kind:name, with one of the kinds {', '.join(KINDS)}.",
            next="trimtab get lineage version:late@2",
        )
    return kind, name


def _known(told: Projection, kind: str, name: str, *, size: int) -> str:
    """Return the id of a node; an alias-free version by number, features also without their version."""
    if kind == "version":
        name = str(VersionRef.parse(name))
    if kind == "features" and "@" not in name:
        views = [node.name for node in told.nodes.values() if node.kind == kind]
        name = next((view for view in reversed(views) if view.partition("@")[0] == name), name)
    if f"{kind}:{name}" not in told.nodes:
        raise NotFound(
            f"the ledger knew of no {kind} {name[:80]!r}",
            where=f"lineage as of {size} events",
            why="It is there from its event on.",
            next="trimtab get events",
        )
    return f"{kind}:{name}"


def reached(edges: Iterable[LineageEdge], start: str, *, down: bool) -> set[str]:
    """Return everything that depends on a node (``down``), or that it depends on."""
    next_: dict[str, list[str]] = {}
    for edge in edges:
        source, target = (edge.source, edge.target) if down else (edge.target, edge.source)
        next_.setdefault(source, []).append(target)
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for id_ in next_.get(waiting.pop(), ()):
            if id_ not in found:
                found.add(id_)
                waiting.append(id_)
    return found


def _in_order(nodes: Mapping[str, LineageNode], edges: Iterable[LineageEdge]) -> tuple[LineageNode, ...]:
    """Return the nodes so that each stands behind what it depends on; ties by the ledger's order."""
    needs: dict[str, set[str]] = {id_: set() for id_ in nodes}
    for edge in edges:
        needs[edge.target].add(edge.source)
    ordered: list[LineageNode] = []
    while needs:
        ready = [id_ for id_, before in needs.items() if not before] or list(needs)[:1]
        for id_ in ready:
            del needs[id_]
            ordered.append(nodes[id_])
        for before in needs.values():
            before.difference_update(ready)
    return tuple(ordered)
