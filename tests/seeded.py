"""Homes in which much has happened, made through the rooms' own verbs: for the faces' tests to look at."""

import asyncio
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from tests.loop.parcels import write_project

from trimtab.declare import load_project
from trimtab.kernel import Actor, Clock, Refused, Settings, VirtualClock
from trimtab.loop import Replay, apply_project, approve_version, serve_version
from trimtab.monitoring import Sign, deliver, mind, silence
from trimtab.monitoring.alerts import settle
from trimtab.pipelines import PipelineSpec, Runner, StepSpec, submit
from trimtab.registry import release_for
from trimtab.server import Rooms, count_refusal, issue_token
from trimtab.serving import Ask
from trimtab.store import Store, end_hold, make_hold, open_store
from trimtab.tracking import start_run

NOW = datetime(2013, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=3)
"""When the faces look at it."""
ANN, BEN = Actor("ann"), Actor("ben")
DECISIONS = 40
CHAMPION_FIRST = 1
"""Seed of the decisions' ids, by which the canary is drawn: the champion answers the first."""


class Seeded(msgspec.Struct, frozen=True):
    """Where the home and the project's file are, and what stands in it."""

    home: Path
    project: Path
    decisions: tuple[str, ...]
    runs: tuple[str, ...]
    applied: str
    failed: str
    seen_at: datetime = LATER

    @property
    def settings(self) -> Settings:
        return Settings(home=str(self.home), project=str(self.project), clock=self.seen_at.isoformat(), port=0)


def seed(folder: Path) -> Seeded:
    """Apply, train three versions, approve two, decide, track two runs, and let a pipeline fail."""
    project = write_project(folder / "parcels.py")
    clock = VirtualClock(NOW)
    store = open_store(Settings(home=str(folder / "home")), clock=clock)
    try:
        applied = _three_versions(store, project, clock)
        decisions = asyncio.run(_decide(store, clock))
        mind(store)  # one parcel is heavier than its contract promises
        runs = tuple(_tracked(store, name, rate) for name, rate in (("first try", 0.1), ("slower <b>", 0.03)))
        with store.change(ANN, "for the nightly job") as change:
            issue_token(change, "nightly", may=["predict"])
        _held(store, runs[1])
        _refused(store, "slow@3")
        return Seeded(store.settings.home_path, project, decisions, runs, applied, _failed(store))
    finally:
        store.close()


POLICIES = """
slow.retrain_when(tt.every("3d"), at_most="2d", approve=tt.by("ops-lead"))
slow.serve(
    roll_back_if=(tt.errors > 0.01) | (tt.log_loss > tt.champion.log_loss * 1.5),
    rollout="""
HEAVIER = "weight[1700:] = np.minimum(weight[1700:] * 1.6 + 4, 50)\n    "
"""From the 5th of February on parcels are heavier than any model has seen."""
LOOPED_FROM = datetime(2013, 2, 3, tzinfo=UTC)
LOOPED_TO = datetime(2013, 2, 7, 15, tzinfo=UTC)
SWEPT = 40
"""With so many runs the ledger has more than one tile (256 events)."""


def seed_loop(folder: Path) -> Seeded:
    """Replay days: a first version is kept; parcels become heavier; a second learns again and ends as a canary."""
    words = {"\nslow.serve(rollout=": POLICIES, "delay = 2 * weight": f"{HEAVIER}delay = 2 * weight"}
    project = write_project(folder / "parcels.py", **words)
    store = open_store(Settings(home=str(folder / "home")), clock=VirtualClock(LOOPED_FROM))
    try:
        Replay(store, load_project(project), start=LOOPED_FROM, end=LOOPED_TO).run(lambda told: None)
        return Seeded(store.settings.home_path, project, (), (), "", "", LOOPED_TO)
    finally:
        store.close()


def seed_everything(folder: Path) -> Seeded:
    """The home of a loop, and in it what this loop does not: runs by hand, a token, a page, a failed pipeline."""
    looped = seed_loop(folder)
    settings = msgspec.structs.replace(looped.settings, alerts_command="true")
    store = open_store(settings, clock=VirtualClock(LOOPED_TO))
    try:
        runs = [_tracked(store, f"sweep {n}", n / 100) for n in range(1, SWEPT)]
        with store.change(ANN, "for the nightly job") as change:
            issue_token(change, "nightly", may=["predict"])
            silence(change, "slow", until=LOOPED_TO + timedelta(days=2), groups="drift:*")
        page = Sign(kind="quality", group="quality:weight", severity="page", title="weight is missing", lines=("5 %",))
        settle(store, "slow", [page], kinds=["quality"], at=LOOPED_TO)
        deliver(store)
        failed = _failed(store)
        return msgspec.structs.replace(looped, runs=tuple(runs), failed=failed)
    finally:
        store.close()


def _three_versions(store: Store, project: Path, clock: Clock) -> str:
    run, _ = apply_project(store, load_project(project), actor=ANN, because="the parcels of early 2013")
    assert run is not None
    approve_version(store, "slow@1", actor=BEN, because="first model")
    for number, strength in ((2, "0.5"), (3, "0.1")):
        clock.sleep(3600)
        write_project(project, **{"strength=1.0": f"strength={strength}"})
        apply_project(store, load_project(project), actor=ANN, because=f"try {strength}")
        if number == 2:
            approve_version(store, "slow@2", actor=ANN, because="as good, and simpler")
            serve_version(store, "slow@2", stage="canary", percent=10, actor=BEN, because="looks right")
    return run.id


def _held(store: Store, run: str) -> None:
    """Hold a run, and let go of it again."""
    with store.change(ANN, "case 12") as change:
        hold = make_hold(change, f"run:{run}")
    end_hold(store, hold.id, actor=ANN, because="case 12 is closed")


def _refused(store: Store, ref: str) -> None:
    """Ask for the release of a version that nobody has approved, and be refused."""
    try:
        release_for(store, ref, actor=ANN)
    except Refused as error:
        count_refusal(store, error, actor=str(ANN), asked="trimtab serve", about=ref)


async def _decide(store: Store, clock: Clock) -> tuple[str, ...]:
    rooms = Rooms(store)
    await rooms.gateway.start()
    store.ids.reseed(CHAMPION_FIRST)
    ids: list[str] = []
    for i in range(DECISIONS):
        answer = await rooms.gateway.infer("slow", Ask(columns={"parcel_id": [f"p{2800 + i}"]}))
        ids += answer.decision_ids
        clock.sleep(30)
    await rooms.gateway.stop()
    return tuple(ids)


def _tracked(store: Store, name: str, rate: float) -> str:
    run = start_run(store, experiment="by hand", name=name, actor=ANN, params={"rate": rate, "depth": 3}, capture=())
    for step in range(60):
        run.log_metrics({"loss": 0.3 + math.exp(-step * rate), "auc": 0.75 - 0.2 * math.exp(-step * rate)}, step)
    run.log_text("<script>alert(1)</script>\n", "notes/first.html")
    return run.finish().id


def _failed(store: Store) -> str:
    spec = PipelineSpec(name="nightly", steps=(StepSpec(name="import", function="trimtab.nothing_here:run"),))
    run = submit(store, spec, actor=ANN, because="every night")
    with Runner(store, workers=1) as runner:
        return runner.run_until_done(run.id).id
