"""The two ends of lineage that are no events: one decision with the rows it was taken on, and one row of a source."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trimtab.data import SnapshotMissing, get_snapshot, load_snapshot
from trimtab.declare import duration_text
from trimtab.features import CompiledView, compile_view, get_view
from trimtab.governance.projection import Projection
from trimtab.governance.records import LineageEdge, LineageNode
from trimtab.kernel import Invalid, NotFound, TrimtabError
from trimtab.registry import get_version
from trimtab.serving import Decision, find_decision, removed_segments
from trimtab.store import Store

MOST = 50
"""Decisions about one row that a graph shows one by one."""


def decision_trace(store: Store, told: Projection, id_: str, *, as_of: datetime | None) -> str:
    """Add one decision, with the rows that its features were computed from; return its node's id.

    Raises ``DecisionUnknown``, or ``NotFound`` when it was taken after ``as_of`` (None: now), or when the ledger did
    not know the version that took it.
    """
    decision = find_decision(store, id_)
    if as_of is not None and decision.at > as_of:
        raise NotFound(
            f"decision {id_} was not taken yet",
            where="lineage position",
            why=f"It was taken at {decision.at:%Y-%m-%d %H:%M:%S}, and the position is of {as_of:%Y-%m-%d %H:%M:%S}.",
            next=f"trimtab get lineage decision:{id_}",
        )
    ref = f"{decision.model}@{decision.version}"
    if f"version:{ref}" not in told.nodes:
        raise NotFound(
            f"the ledger did not know {ref}, which took this decision",
            where="lineage position",
            why="The version was registered later.",
            next=f"trimtab get lineage decision:{id_}",
        )
    node = f"decision:{id_}"
    source = told.release_with(decision.release) or f"version:{ref}"
    edge = LineageEdge(source=source, target=node, how=f"answered: {decision.stage}, {decision.reason}")
    said = f"{decision.at:%Y-%m-%d %H:%M:%S} by {ref}"
    told.add(LineageNode(id=node, kind="decision", name=id_, said=said), edge)
    if decision.source == "raw":
        told.missing.append(f"rows of decision {id_}: every feature was given with the request")
    elif decision.key is None:
        told.missing.append(f"rows of decision {id_}: no key was kept with it")
    else:
        try:
            _add_rows(store, told, decision, node)
        except TrimtabError as error:
            told.missing.append(f"rows of decision {id_}: {error.what}. {error.why}")
    return node


def _add_rows(store: Store, told: Projection, decision: Decision, node: str) -> None:
    """Add the rows of each contract that the decision's features read, as the snapshots hold them."""
    version = get_version(store, f"{decision.model}@{decision.version}")
    digest, name = version.lineage.features, version.lineage.view or ""
    before = [tables for at, filled, tables in told.filled if filled == digest and at <= decision.at]
    if not before:
        told.missing.append(f"rows of decision {decision.id}: the ledger knows of no filling of {name} before it")
        return
    view = _view(store, name, digest)
    held = {contract: told.snapshots[content] for contract, content in before[-1].items() if content in told.snapshots}
    of = view.view.of
    own = _own_row(store, held.get(of.name), {key: (decision.key or {}).get(key) for key in of.keys})
    for contract, snapshot in held.items():
        for words, count in _read(store, view, contract, snapshot, own, decision):
            rows = f"rows:{snapshot} for {decision.id}, {words}"
            said = f"{count} {'row' if count == 1 else 'rows'}"
            told.add(
                LineageNode(id=rows, kind="rows", name=words, said=said),
                LineageEdge(source=f"snapshot:{snapshot}", target=rows, how="holds"),
                LineageEdge(source=rows, target=node, how="read"),
            )


def _view(store: Store, name: str, digest: str | None) -> CompiledView:
    found = get_view(store, name)
    while found.digest != digest and found.version > 1:
        found = get_view(store, name, version=found.version - 1)
    return compile_view(found.spec)


def _own_row(store: Store, snapshot: str | None, key: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row that was decided on, as its snapshot holds it; its key alone when that is all there is."""
    if snapshot is None:
        return dict(key)
    rows = _with(load_snapshot(store, snapshot), key).to_pylist()
    return rows[-1] if rows else dict(key)


def _read(
    store: Store, view: CompiledView, contract: str, snapshot: str, own: Mapping[str, Any], decision: Decision
) -> Iterator[tuple[str, int]]:
    """Yield, for each part of the view that reads a contract, which rows of it were read, in words, and how many."""
    table = load_snapshot(store, snapshot)
    if contract == view.view.of.name:
        keys = {key: own[key] for key in view.view.of.keys}
        yield f"the {contract} with {_words(keys)}", _with(table, keys).num_rows
    for lookup in view.lookups:
        by = {name: own.get(name) for name in lookup.by}
        if lookup.contract == contract and None not in by.values():
            known = _known(_with(table, by), lookup.known, until=decision.as_of)
            yield f"the newest {contract} with {_words(by)}", min(known.num_rows, 1)
    for tail in view.tails:
        by = {name: own.get(name) for name in tail.by}
        if tail.contract == contract and None not in by.values():
            seconds = max(field.longest_us for field in tail.fields) / 1e6
            after = decision.as_of - timedelta(seconds=seconds)
            known = _known(_with(table, by), tail.known, until=decision.as_of, after=after)
            yield f"{contract} known in the {duration_text(seconds)} before, with {_words(by)}", known.num_rows


def row_trace(store: Store, told: Projection, name: str, *, most: int | None) -> str:
    """Add one row of a source (``SOURCE/field=value,field=value``), with the snapshots that hold it and the decisions
    about it, at most so many; return its node's id. Raises ``Invalid`` for what names no row, ``NotFound`` when no
    snapshot holds it.
    """
    source, key = _row_named(name)
    node = f"row:{name}"
    taken = [e.target.partition(":")[2] for e in told.edges.values() if e.source == f"source:{source}"]
    kept = {id_: rows for id_ in taken if (rows := _loaded(store, told, id_)) is not None}
    holding = [id_ for id_, rows in kept.items() if _with(rows, key).num_rows]
    if not holding:
        raise NotFound(
            f"no snapshot of {source} held a row with {_words(key)}",
            where="lineage subject",
            why=f"{len(taken)} snapshots of it were taken up to this position.",
            next=f"trimtab data show {source}",
        )
    edges = [LineageEdge(source=node, target=f"snapshot:{id_}", how="is in") for id_ in holding]
    edges.append(LineageEdge(source=f"source:{source}", target=node, how="came from"))
    told.add(
        LineageNode(id=node, kind="row", name=_words(key), said=f"in {len(holding)} of {len(taken)} snapshots"), *edges
    )
    contract = get_snapshot(store, holding[-1]).contract
    rows = _with(kept[holding[-1]], key).select(list(key)).slice(0, 1)
    found = list(_decisions_about(store, told, contract, rows))
    if gone := removed_segments(store):
        told.missing.append(f"decisions about {_words(key)} among the {sum(gone.values())} that were removed")
    shown = found[:most]
    for id_, ref in shown:
        told.add(
            LineageNode(id=f"decision:{id_}", kind="decision", name=id_, said=f"by {ref}"),
            LineageEdge(source=node, target=f"decision:{id_}", how="decided about it"),
            LineageEdge(source=f"version:{ref}", target=f"decision:{id_}", how="answered"),
        )
    if len(found) > len(shown):
        told.missing.append(f"{len(found) - len(shown)} more decisions about {_words(key)}")
    return node


def _loaded(store: Store, told: Projection, id_: str) -> pa.Table | None:
    """Return the rows of a snapshot; None for one that was removed, which is said."""
    try:
        return load_snapshot(store, id_)
    except SnapshotMissing as error:
        told.missing.append(f"snapshot {id_}: {error.what}. {error.why}")
        return None


def _decisions_about(store: Store, told: Projection, contract: str, rows: pa.Table) -> Iterator[tuple[str, str]]:
    """Yield the sealed decisions about a row, given by the columns of its key, with the versions that took them."""
    key = rows.to_pylist()[0]
    text = _text_in_json(key)
    views: dict[str, str] = {}
    gone = removed_segments(store)
    for segment in told.sealed:
        if segment.id in gone:
            continue
        for ref in segment.by_version:
            if ref not in views:
                name = get_version(store, ref).lineage.view
                views[ref] = get_view(store, name).of if name else ""
        if contract not in [views[ref] for ref in segment.by_version]:
            continue
        table = pq.read_table(store.blobs.local_path(segment.digest), columns=["id", "key", "model", "version"])
        for row in table.filter(pc.match_substring(table["key"], text)).to_pylist():
            said = msgspec.json.decode(row["key"]) or {}
            if all(_is(said.get(name), value, rows.schema.field(name).type) for name, value in key.items()):
                yield row["id"], f"{row['model']}@{row['version']}"


def _text_in_json(key: Mapping[str, Any]) -> str:
    """Return a text that the JSON of each decision about the key holds, to look for first; "" when none is certain.

    A time or a number may be written in more than one way.
    """
    texts = (msgspec.json.encode(value).decode()[1:-1] for value in key.values() if isinstance(value, str))
    return max(texts, key=len, default="")


def _is(said: Any, value: Any, kind: pa.DataType) -> bool:
    """Say whether a key that was given with a request is a value of a column, however it was written."""
    if said == value:
        return True
    try:
        return said is not None and bool(pa.scalar(str(said)).cast(kind).as_py() == value)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False


def _row_named(name: str) -> tuple[str, dict[str, Any]]:
    source, _, rest = name.partition("/")
    pairs = [part.partition("=") for part in rest.split(",")]
    if not source or not all(field and equals for field, equals, _ in pairs):
        raise Invalid(
            f"{name[:100]!r} names no row",
            where="lineage subject",
            why="A row is named by its source and the fields of its key.",
            next="trimtab get lineage row:flights/flight_id=X",
        )
    return source, {field: value for field, _, value in pairs}


def _with(table: pa.Table, values: Mapping[str, Any]) -> pa.Table:
    """Return the rows with these values. Raises ``Invalid`` for a column that is not there, or cannot hold one."""
    for name, value in values.items():
        try:
            column = table[name]
            table = table.filter(pc.equal(column, pa.scalar(value).cast(column.type)))
        except (KeyError, pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise Invalid(
                f"there is no {name} {str(value)[:60]!r} to look for",
                where="lineage subject",
                why=f"The columns are {', '.join(table.column_names)}, each of one type.",
                next="trimtab data show SOURCE",
            ) from None
    return table


def _known(table: pa.Table, column: str, *, until: datetime, after: datetime | None = None) -> pa.Table:
    """Return the rows that were known in (after, until]."""
    known, kind = table[column], table[column].type
    mask = pc.less_equal(known, pa.scalar(until, kind))
    if after is not None:
        mask = pc.and_(mask, pc.greater(known, pa.scalar(after, kind)))
    return table.filter(mask)


def _words(key: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in key.items())
