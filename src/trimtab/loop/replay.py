"""Replay a stretch of the past with a virtual clock, through the very code that runs in production.

Each hour's rows become decisions of the real gateway, outcomes arrive when they were known, and ``Loop.tick`` watches,
triggers, trains, judges and rolls out; approvals are given by a simulated person as soon as they are asked for.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.data import latest_snapshot, load_snapshot
from trimtab.declare import Project
from trimtab.features import compile_view, fill, label_frame, open_online
from trimtab.kernel import SYSTEM, Actor, NotFound, VirtualClock, digest_of
from trimtab.loop.apply import apply_project
from trimtab.loop.home import replayed_model
from trimtab.loop.marks import get_mark, set_mark
from trimtab.loop.mirroring import Asks, mirror_what_is_left
from trimtab.loop.records import Turn, TurnState
from trimtab.loop.rollout import approve_version, routing_of, start_rollout
from trimtab.loop.tick import Loop
from trimtab.loop.turns import get_turn, open_turn_of
from trimtab.pipelines import Runner
from trimtab.registry import ReleaseKeys, Status, list_versions
from trimtab.serving import WAITING, Ask, DecisionLog, Gateway, RegisteredReleases, ServingLimits, decision_tables
from trimtab.store import Store
from trimtab.tracking import ALLOWED_TYPES

HOUR = timedelta(hours=1)
SEAL_EVERY = timedelta(hours=6)
HORIZON = timedelta(hours=72)
CHECK_EVERY = timedelta(days=1)
POSITION = "replayed-until"
BECAUSE = "replay"
_ASKED = "asked_"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay tells while it runs: the virtual time, how many decisions were made, and the turns that moved."""

    at: datetime
    decisions: int
    turns: tuple[Turn, ...] = ()


Tell = Callable[[Told], None]


class Replay:
    """One replay of one model of a project, in a store of its own with a virtual clock.

    Everything is a function of the project, the span and ``seed``: two replays write the same ledger. Killed at any
    point, ``run`` in a new process goes on from the last full hour; ``attempt`` counts the starts, so that the hour
    that is done again makes no id twice. Latency is not replayed: the clock stands still while a model answers.

    A row is asked by its keys. Where these name several rows, which are not all there yet, it is asked with its fields.
    """

    def __init__(
        self, store: Store, project: Project, *, start: datetime, end: datetime, seed: int = 0, attempt: int = 0,
        approve_as: Actor | None = None,
    ) -> None:  # fmt: skip
        assert isinstance(store.clock, VirtualClock)
        self.store = store
        self.clock = store.clock
        self.project = project
        self.model = replayed_model(project)
        self.start, self.end = start, end
        self.decisions = 0
        self._seed, self._attempt = seed, attempt
        approver = self.model.retraining.approve_by if self.model.retraining else None
        self._approver = approve_as or Actor(approver or "replay")
        self._asked: tuple[str, ...] = self.model.view.of.keys
        self._frame = pa.table({})
        self._tables: dict[str, pa.Table] = {}
        self._digests: dict[str, str] = {}

    def run(self, tell: Tell) -> None:
        """Replay, or go on with, the whole span. Raises what the loop raises in production."""
        self._reseed("prepare", self._attempt)
        ReleaseKeys.of(self.store).make_repeatable(hashlib.sha256(f"replay {self._seed}".encode()).digest())
        reached = get_mark(self.store, self.model.name, POSITION)
        if reached is not None:
            self.clock.advance_to(reached)
        self._prepare()
        self._load()
        # Killed in the very first hour, it has decided and left no position yet.
        asyncio.run(self._replay(tell, reached=reached, resumed=reached is not None or self._attempt > 0))

    # --- before the first hour --------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Bring the project into force at the start: a first version, approved, answers everything."""
        apply_project(self.store, self.project, actor=SYSTEM, because=BECAUSE)
        if routing_of(self.store, self.model.name) is not None:
            return
        newest = list_versions(self.store, self.model.name, limit=1).items[0]
        because, turn = "the first version, approved by the replay", open_turn_of(self.store, self.model.name)
        if newest.status is Status.CANDIDATE:
            approve_version(
                self.store, newest.ref, actor=self._approver, because=because,
                override="" if newest.verdict_passed else "a replay begins with what there is",
            )  # fmt: skip
        elif turn is not None:  # killed between the approval and the rollout
            start_rollout(self.store, turn, actor=self._approver, because=because)

    def _load(self) -> None:
        """Read the facts of the whole span; what is not known yet at some moment stays invisible at that moment."""
        for contract in self.model.view.contracts:
            source = self.project.spec.source_of(contract.name)
            assert source is not None
            snapshot = latest_snapshot(self.store, source.name)
            assert snapshot is not None
            self._tables[contract.name] = load_snapshot(self.store, snapshot.id)
            self._digests[contract.name] = snapshot.content_digest
        view = self.model.view
        rows = self._tables[view.of.name]
        if rows.group_by(view.of.keys).aggregate([]).num_rows < rows.num_rows:
            self._asked = tuple(dict.fromkeys((*view.of.keys, view.decided, *compile_view(view).request_fields)))
        asked = rows.select(self._asked).rename_columns([_ASKED + name for name in self._asked])
        frame = asked.append_column("decided_at", label_frame(view, rows, self.model.label)["decided_at"])
        decided = pc.field("decided_at")
        frame = frame.filter((decided >= pa.scalar(self.start)) & (decided < pa.scalar(self.end)))
        order = ["decided_at", *(_ASKED + key for key in view.of.keys)]
        self._frame = frame.sort_by([(name, "ascending") for name in order])

    def _materialise(self, until: datetime) -> None:
        online = open_online(self.store)
        try:
            fill(online, self.model.view, self._tables, now=until, horizon=HORIZON, digests=self._digests)
        finally:
            online.close()

    # --- hour by hour -----------------------------------------------------------------------------------------------

    async def _replay(self, tell: Tell, *, reached: datetime | None, resumed: bool) -> None:
        loop = Loop(self.store, check_every=CHECK_EVERY, looked_at=reached)
        log = DecisionLog(self.store, seal_after_s=SEAL_EVERY.total_seconds())
        online = open_online(self.store)
        gateway = Gateway(
            self.store,
            releases=RegisteredReleases(self.store),
            allowed=ALLOWED_TYPES,
            online=online,
            limits=ServingLimits(threads=1),
            log=log,
        )
        log.recover()
        filled = self.clock.now()
        for first, rows in self._hours():
            self.clock.advance_to(first + HOUR)
            # The hour in which the last start was killed must not make the ids again that it has made already.
            self._reseed(first.isoformat(), *([self._attempt] if resumed else []))
            if filled < first + HOUR:
                filled = first + timedelta(days=1)
                self._materialise(filled)
            await gateway.refresh()
            if resumed:
                await self._decide_left(gateway, rows, first)
                await mirror_what_is_left(
                    gateway, self.store, self.model.name, at=first + HOUR, asked=self._asks_of(rows)
                )
            else:
                await self._decide(gateway, rows)
            resumed = False
            await gateway.flush_figures()
            moved = self._turn(loop)
            log.retire_old()
            log.seal()
            set_mark(self.store, self.model.name, POSITION, first + HOUR)
            tell(Told(at=first + HOUR, decisions=self.decisions, turns=tuple(moved)))
        await gateway.settled()
        log.close()
        online.close()

    def _hours(self) -> Iterator[tuple[datetime, pa.Table]]:
        """Yield each hour that is left with the rows that are decided in it."""
        decided = self._frame["decided_at"].cast(pa.int64()).to_numpy()
        hour = self.clock.now()
        while hour < self.end:
            upto = np.searchsorted(decided, [_micros(hour), _micros(hour + HOUR)])
            yield hour, self._frame.slice(int(upto[0]), int(upto[1] - upto[0]))
            hour += HOUR

    async def _decide(self, gateway: Gateway, rows: pa.Table, *, version: int | None = None) -> None:
        for start in range(0, rows.num_rows, WAITING):  # of more at once, shadows drop the rest
            columns = self._columns(rows.slice(start, WAITING))
            await gateway.infer(self.model.name, Ask(columns=columns, version=version))
            await gateway.settled()
        self.decisions += rows.num_rows

    async def _decide_left(self, gateway: Gateway, rows: pa.Table, first: datetime) -> None:
        """Decide on what is left of an hour, each row by the version that would have answered it undisturbed."""
        left = self._left(rows, first)
        route = gateway.snapshot.routes.get(self.model.name)
        if route is None or not route.canaries or route.routing.sticky_by in self.model.view.of.keys:
            await self._decide(gateway, rows.filter(left))
            return
        # A canary is chosen by a decision's id; these are the ids that the hour would have had.
        self._reseed(first.isoformat())
        chosen = [route.choose(self.store.ids.new()).target.version for _ in range(rows.num_rows)]
        self._reseed(first.isoformat(), self._attempt, "left")
        for version in dict.fromkeys(chosen):
            mine = pa.array([one == version for one in chosen], pa.bool_())
            await self._decide(gateway, rows.filter(pc.and_(left, mine)), version=version)

    def _turn(self, loop: Loop) -> list[Turn]:
        """Tick, train what was submitted, and say yes where a yes is waited for, until nothing moves."""
        moved = list(loop.tick())
        while (turn := open_turn_of(self.store, self.model.name)) is not None:
            if turn.state is TurnState.TRAINING and turn.run is not None:
                # A fresh worker each time: what a warm one has imported or warned of already must not show.
                with Runner(self.store, workers=1) as runner:
                    runner.run_until_done(turn.run)
                moved += loop.tick()
                moved += [get_turn(self.store, turn.id)]
            elif turn.state is TurnState.WAITING and turn.ref is not None:
                approve_version(self.store, turn.ref, actor=self._approver, because="approved by the replay")
                moved += [get_turn(self.store, turn.id)]
            else:
                break
        return moved

    def _left(self, rows: pa.Table, first: datetime) -> pa.Array:
        """Say which rows of an hour were not decided on before this program was killed."""
        done: set[str] = set()
        with suppress(NotFound):
            for table in decision_tables(self.store, self.model.name, since=first, until=first + 2 * HOUR):
                answered = table.filter(pc.not_equal(table["stage"], "shadow"))
                done.update(key for key in answered["key"].to_pylist() if key is not None)
        return pa.array([key not in done for key in self._logged(rows)], pa.bool_())

    def _columns(self, rows: pa.Table) -> dict[str, list[Any]]:
        """Return what rows are asked with."""
        return {name: rows[_ASKED + name].to_pylist() for name in self._asked}

    def _logged(self, rows: pa.Table) -> list[str]:
        """Return the key of each row as the decision log writes it: with the moment of decision, where it is asked."""
        view = self.model.view
        names = [name for name in self._asked if name in (*view.of.keys, view.decided)]
        values = ([_plain(value) for value in rows[_ASKED + name].to_pylist()] for name in names)
        return [msgspec.json.encode(dict(zip(names, row, strict=True))).decode() for row in zip(*values, strict=True)]

    def _asks_of(self, rows: pa.Table) -> Asks:
        """Return what gives back, for keys of the decision log, the columns that those rows were asked with."""
        places = {key: place for place, key in enumerate(self._logged(rows))}
        return lambda keys: self._columns(rows.take([places[key] for key in keys]))

    def _reseed(self, *moment: object) -> None:
        self.store.ids.reseed(int(digest_of([self._seed, *moment])[7:23], 16))


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


def _micros(at: datetime) -> int:
    return int(at.timestamp()) * 1_000_000
