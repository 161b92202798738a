"""Fill the online store with what is known of a view, and later only with what became known since."""

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Literal

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import select

from trimtab.declare import ContractSpec
from trimtab.features.compile import compile_view
from trimtab.features.events import FeatureViewMaterialised
from trimtab.features.filling import Facts, known_between, write_lookup, write_rows, write_tail
from trimtab.features.online import Loaded, OnlineStore, find_loaded, open_online
from trimtab.features.reading import row_fields
from trimtab.features.records import CompiledView, Lookup, Materialised, Tail, View
from trimtab.features.rows import Mask, Rows, rows_of
from trimtab.features.tables import features_materialisations
from trimtab.features.training import micros_of, when
from trimtab.kernel import Actor
from trimtab.store import Store

How = Literal["filled", "appended", "unchanged"]
HORIZON = timedelta(hours=48)
_PARTS = 1_000
"""Part numbers that one filling of a view may use."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the store was filled from, to tell next time what is new.

    ``parts`` are digests of the facts that were loaded, in their order; ``pending`` is when the next fact of the same
    tables becomes known; ``added`` says that single facts were added since, which a later table may hold again.
    """

    tables: dict[str, str]
    parts: tuple[str, ...]
    rows: int
    rows_digest: str
    horizon: int | None
    pending: int | None = None
    added: bool = False


def materialise(
    store: Store,
    view: View,
    tables: Mapping[str, pa.Table],
    *,
    now: datetime,
    actor: Actor,
    because: str = "",
    horizon: timedelta | None = HORIZON,
    digests: Mapping[str, str] | None = None,
) -> Materialised:
    """Fill the online store with the facts of a view that are known at ``now`` and with all rows of its own contract.

    Reads are then exact for every moment from ``now - horizon`` on (None: for every moment ever). Facts that become
    known after ``now`` wait for a later call. The same tables again change nothing and record nothing, unless a waiting
    fact became known; tables that only grew are appended; anything else fills anew. ``digests`` names the tables'
    contents by contract (those of snapshots); without it they are computed. Readers see the old state until the new
    one is complete.
    """
    compiled = compile_view(view)
    online = open_online(store)
    try:
        done = fill(online, compiled, tables, now=now, horizon=horizon, digests=digests)
    finally:
        online.close()
    _record(store, done, actor=actor, because=because)
    return done


def fill(
    online: OnlineStore,
    view: View,
    tables: Mapping[str, pa.Table],
    *,
    now: datetime,
    horizon: timedelta | None = HORIZON,
    digests: Mapping[str, str] | None = None,
) -> Materialised:
    """Do what ``materialise`` does to an online store, without a record of it."""
    compiled = compile_view(view)
    work = _Filling(compiled, tables, now=micros_of(now), horizon=horizon, digests=digests or {})
    with online.writing() as connection:
        how, loaded = work.run(connection)
    return Materialised(
        view=compiled.view.name,
        digest=compiled.digest,
        how=how,
        now=when(loaded.materialised),
        exact_from=None if loaded.exact_from is None else when(loaded.exact_from),
        facts=work.facts,
        rows=work.rows,
        tables=work.digests,
    )


class _Filling:
    """One call: the tables, what of them is known by now, and what the store already holds of it."""

    def __init__(
        self,
        compiled: CompiledView,
        tables: Mapping[str, pa.Table],
        *,
        now: int,
        horizon: timedelta | None,
        digests: Mapping[str, str],
    ) -> None:
        view = compiled.view
        self.compiled = compiled
        self.now = now
        self.horizon = None if horizon is None else horizon // timedelta(microseconds=1)
        self.parts = compiled.parts
        contracts = {c.name: c for c in (view.of, *view.contracts)}
        names = dict.fromkeys([view.of.name, *(part.contract for part in self.parts)])
        self.tables = {name: rows_of(contracts[name], tables) for name in names}
        self.digests = {name: digests.get(name) or self._digest(contracts[name]) for name in names}
        self.facts = 0
        self.rows = 0
        self._same_rows = ""

    def run(self, connection: sqlite3.Connection) -> tuple[How, Loaded]:
        """Bring the store up to ``now``; return how, and what it then holds."""
        loaded = find_loaded(connection, self.compiled.digest)
        state = None if loaded is None else msgspec.msgpack.decode(loaded.state, type=State)
        if (
            loaded is None
            or state is None
            or state.horizon != self.horizon
            or state.added
            or self.now < loaded.materialised
        ):
            return "filled", self._fill(connection, loaded)
        if state.tables == self.digests:
            if state.pending is None or state.pending > self.now:
                return "unchanged", loaded
            self._same_rows = state.rows_digest
            return "appended", self._append(connection, loaded, state.rows)
        if self._part_digests(loaded.materialised) != state.parts:
            return "filled", self._fill(connection, loaded)
        return "appended", self._append(connection, loaded, self._rows_known(state))

    def _fill(self, connection: sqlite3.Connection, loaded: Loaded | None) -> Loaded:
        if loaded is not None:
            forget_parts(connection, loaded.first_part)
        (last,) = connection.execute("SELECT max(first_part) FROM views").fetchone()
        first_part = 0 if last is None else last + _PARTS
        return self._write(connection, first_part, after=None, rows_known=0)

    def _append(self, connection: sqlite3.Connection, loaded: Loaded, rows_known: int) -> Loaded:
        if rows_known == 0:
            place = loaded.first_part + len(self.parts)
            connection.execute("DELETE FROM rows WHERE part = ?", (place,))
        return self._write(connection, loaded.first_part, after=loaded.materialised, rows_known=rows_known)

    def _write(self, connection: sqlite3.Connection, first_part: int, *, after: int | None, rows_known: int) -> Loaded:
        exact_from = None if self.horizon is None else self.now - self.horizon
        for number, part in enumerate(self.parts, first_part):
            rows = self.tables[part.contract]
            mask = known_between(rows, part.known, after=after, until=self.now)
            self.facts += int(mask.sum())
            write_part(connection, number, self.compiled, part, Facts(rows, mask), keep_from=exact_from)
        own = self.tables[self.compiled.view.of.name]
        new_rows = np.arange(own.count) >= rows_known
        self.rows = write_rows(connection, first_part + len(self.parts), self.compiled, Facts(own, new_rows))
        return self._remember(connection, first_part, exact_from)

    def _remember(self, connection: sqlite3.Connection, first_part: int, exact_from: int | None) -> Loaded:
        own = self.tables[self.compiled.view.of.name]
        state = State(
            tables=self.digests,
            parts=self._part_digests(self.now),
            rows=own.count,
            rows_digest=self._same_rows or self._rows_digest(own.count),
            horizon=self.horizon,
            pending=self._pending(),
        )
        loaded = Loaded(
            digest=self.compiled.digest,
            first_part=first_part,
            materialised=self.now,
            exact_from=exact_from if self.parts else None,
            state=msgspec.msgpack.encode(state),
        )
        connection.execute("INSERT OR REPLACE INTO views VALUES (?, ?, ?, ?, ?)", msgspec.structs.astuple(loaded))
        return loaded

    def _pending(self) -> int | None:
        waiting = []
        for part in self.parts:
            known, valid = self.tables[part.contract].times(part.known)
            later = known[valid & (known > self.now)]
            waiting += [int(later.min())] if len(later) else []
        return min(waiting, default=None)

    def _part_digests(self, until: int) -> tuple[str, ...]:
        """Return a digest of the facts of each part that were known at a moment, in their order."""
        found = []
        for part in self.parts:
            rows = self.tables[part.contract]
            fields = [f if isinstance(f, str) else f.field for f in part.fields]
            names = dict.fromkeys([*part.by, rows.contract.event_time, part.known, *fields])
            found.append(digest_of_columns(rows, names, known_between(rows, part.known, after=None, until=until)))
        return tuple(found)

    def _rows_known(self, state: State) -> int:
        """Return how many rows at the head of the own contract's table the store has: all that it had, or none."""
        own = self.tables[self.compiled.view.of.name]
        grown = own.count >= state.rows and self._rows_digest(state.rows) == state.rows_digest
        return state.rows if grown else 0

    def _rows_digest(self, count: int) -> str:
        own = self.tables[self.compiled.view.of.name]
        fields = [field.name for field in row_fields(self.compiled)]
        names = dict.fromkeys([*own.contract.keys, own.contract.event_time, *fields])
        return digest_of_columns(own, names, np.arange(own.count) < count)

    def _digest(self, contract: ContractSpec) -> str:
        rows = self.tables[contract.name]
        names = [field.name for field in contract.fields if self._reads(contract, field.name)]
        return digest_of_columns(rows, names, np.ones(rows.count, np.bool_))

    def _reads(self, contract: ContractSpec, name: str) -> bool:
        own = contract.name == self.compiled.view.of.name
        if name == contract.event_time or (own and (name in contract.keys or name in self._own_fields())):
            return True
        return any(
            name in (*part.by, part.known) or name in [f if isinstance(f, str) else f.field for f in part.fields]
            for part in self.parts
            if part.contract == contract.name
        )

    def _own_fields(self) -> list[str]:
        return [field.name for field in row_fields(self.compiled)]


def add_facts(online: OnlineStore, view: View, contract: str, facts: pa.Table, *, first_row: int = 0) -> None:
    """Add single facts as they arrive, each once, in any order: what is read does not depend on it.

    Of facts with equal event and known times the one with the later row number wins, counted from ``first_row``. Facts
    that became known before the store's horizon matter only as far as reads reach back. The next ``materialise``
    fills anew from its tables, which hold these facts too. Raises ``NotMaterialised``.
    """
    compiled = compile_view(view)
    spec = compiled.view.of if contract == compiled.view.of.name else compiled.view.contract(contract)
    rows = Rows(spec, facts)
    new = Facts(rows, np.ones(rows.count, np.bool_), first_row=first_row)
    with online.writing() as connection:
        loaded = online.must_find(connection, compiled)
        for number, part in enumerate(compiled.parts, loaded.first_part):
            if part.contract == contract:
                write_part(connection, number, compiled, part, new, keep_from=loaded.exact_from)
        if contract == compiled.view.of.name:
            place = loaded.first_part + len(compiled.parts)
            write_rows(connection, place, compiled, new)
        state = msgspec.structs.replace(msgspec.msgpack.decode(loaded.state, type=State), added=True)
        connection.execute(
            "UPDATE views SET state = ? WHERE digest = ?", (msgspec.msgpack.encode(state), compiled.digest)
        )


def forget(online: OnlineStore, view: View) -> None:
    """Remove what the online store holds of a definition."""
    compiled = compile_view(view)
    with online.writing() as connection:
        loaded = find_loaded(connection, compiled.digest)
        if loaded is not None:
            forget_parts(connection, loaded.first_part)
            connection.execute("DELETE FROM views WHERE digest = ?", (compiled.digest,))


def write_part(
    connection: sqlite3.Connection,
    number: int,
    compiled: CompiledView,
    part: Lookup | Tail,
    facts: Facts,
    *,
    keep_from: int | None,
) -> None:
    """Merge facts into the cells of a lookup or a tail."""
    if isinstance(part, Lookup):
        write_lookup(connection, number, compiled, part, facts, keep_from=keep_from)
    else:
        write_tail(connection, number, part, facts, keep_from=keep_from)


def forget_parts(connection: sqlite3.Connection, first_part: int) -> None:
    """Delete the cells and rows of one filling."""
    span = (first_part, first_part + _PARTS)
    connection.execute("DELETE FROM cells WHERE part >= ? AND part < ?", span)
    connection.execute("DELETE FROM rows WHERE part >= ? AND part < ?", span)


def digest_of_columns(rows: Rows, names: Iterable[str], mask: Mask) -> str:
    """Return a digest of some columns of some rows, the same however the table is laid out in memory."""
    whole = hashlib.sha256()
    picked = None if mask.all() else pa.array(mask)
    for name in names:
        column = rows.values(name) if picked is None else rows.values(name).filter(picked)
        whole.update(f"{name} {column.type} {len(column)} ".encode())
        whole.update(np.packbits(pc.is_null(column).to_numpy(zero_copy_only=False)).tobytes())
        if pa.types.is_string(column.type):
            whole.update(pc.fill_null(pc.binary_length(column), 0).to_numpy().tobytes())
            column = pc.fill_null(column, "")
            start, size = column.offset, len(column)
            ends = np.frombuffer(column.buffers()[1], np.int32)[start : start + size + 1] if size else np.zeros(1, int)
            whole.update(memoryview(column.buffers()[2] or b"")[int(ends[0]) : int(ends[-1])])
        else:
            if pa.types.is_timestamp(column.type) or pa.types.is_boolean(column.type):
                column = column.cast(pa.int64())
            whole.update(pc.fill_null(column, 0).to_numpy().tobytes())
    return f"sha256:{whole.hexdigest()}"


def _record(store: Store, done: Materialised, *, actor: Actor, because: str) -> None:
    """Record a materialisation, unless the newest record says the same (or the process died before it could)."""
    table = features_materialisations
    query = select(table.c.now, table.c.tables).where(table.c.digest == done.digest).order_by(table.c.id.desc())
    tables = msgspec.json.encode(done.tables, order="sorted").decode()
    with store.change(actor, because, durable=False) as change:
        newest = change.connection.execute(query.limit(1)).first()
        if (
            newest is not None
            and done.how == "unchanged"
            and (newest.now, newest.tables) == (done.now.isoformat(), tables)
        ):
            return
        row = {
            "id": change.new_id(), "view": done.view, "digest": done.digest, "how": done.how,
            "now": done.now.isoformat(), "facts": done.facts, "rows": done.rows, "tables": tables,
            "at": change.at.isoformat(),
        }  # fmt: skip
        change.insert(table, row)
        change.record(
            FeatureViewMaterialised(
                view=done.view,
                digest=done.digest,
                how=done.how,
                now=done.now.isoformat(),
                facts=done.facts,
                rows=done.rows,
                tables=done.tables,
            )
        )
