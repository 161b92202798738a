"""From a file to an answering version, through the real pipeline, on both databases."""

import subprocess
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import reduce
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.loop.parcels import write_project

from trimtab.declare import Project, load_project
from trimtab.evaluation import get_evaluation
from trimtab.kernel import Actor, Invalid, NotFound, Refused, Settings, VirtualClock
from trimtab.loop import applied, apply_project, approve_version, judging, make_plan, projects, run_one, serve_version
from trimtab.loop.judging import check_version
from trimtab.pipelines import StepStatus, list_pipeline_runs
from trimtab.registry import (
    GateFailed,
    Lineage,
    ModelArtifacts,
    Status,
    WrongStatus,
    aliases,
    get_version,
    register_version,
)
from trimtab.serving import NotServable, get_endpoint
from trimtab.store import Store, events, open_store, verify
from trimtab.tracking import get_run

BECAUSE = "the parcels of early 2013"
MARCH = datetime(2013, 3, 1, tzinfo=UTC)


def test_apply_makes_an_approved_version_answer(store: Store, project: Project, actor: Actor) -> None:
    plan = make_plan(store, project)
    assert plan.has_changes
    assert "weight 400" in str(plan)
    run, outcomes = apply_project(store, project, plan=plan, actor=actor, because=BECAUSE)
    assert run is not None
    (outcome,) = outcomes
    assert (outcome.ref, outcome.passed) == ("slow@1", True)
    assert run.outputs["snapshot-parcels"]["set_aside"] == 1
    assert aliases(store, "slow") == {"challenger": 1}
    assert list(projects(store)) == ["parcels"]

    done = approve_version(store, "slow@1", actor=actor, because="first model")
    assert (done.stage, done.endpoint.routing.champion) == ("full", 1)
    assert done.approval.self_approved
    assert aliases(store, "slow") == {"champion": 1}
    assert verify(store).kind == "intact"

    again = make_plan(store, project)
    assert not again.has_changes, str(again)
    assert apply_project(store, project, actor=actor, because=BECAUSE) == (None, ())


def test_the_code_of_a_run_is_the_projects_wherever_it_was_started(
    tmp_path: Path, project: Project, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def git(*words: str) -> str:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
        command = ["git", "-C", str(tmp_path), *identity, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "-q")
    git("add", "parcels.py")
    git("commit", "-q", "-m", "one")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    subprocess.run(["git", "init", "-q"], check=True)
    with closing(open_store(Settings(home=str(tmp_path / ".trimtab")), clock=VirtualClock(MARCH))) as store:
        apply_project(store, project, actor=actor, because=BECAUSE)
        run = get_version(store, "slow@1").lineage.run_id
        assert run is not None
        tags = get_run(store, run).tags
    assert tags["git.commit"] == git("rev-parse", "HEAD")
    left = git("ls-files", "--others", "--exclude-standard").splitlines()
    assert [name for name in left if name.startswith(".trimtab")] == [], "the home is no code of the project's"


def test_a_changed_model_is_trained_again_from_what_is_there(
    store: Store, project_file: Path, project: Project, actor: Actor
) -> None:
    apply_project(store, project, actor=actor, because=BECAUSE)
    approve_version(store, "slow@1", actor=actor, because="first model")
    changed = load_project(write_project(project_file, **{"strength=1.0": "strength=0.5"}))
    plan = make_plan(store, changed)
    assert [(item.sign, item.kind) for item in plan.items if item.sign != "="] == [("~", "model")]
    run, (outcome,) = apply_project(store, changed, actor=actor, because="try less")
    assert outcome.ref == "slow@2"
    assert run is not None
    assert run.step("features-slow").status is StepStatus.CACHED
    assert any("champion" in line for line in outcome.verdict)

    done = approve_version(store, "slow@2", actor=actor, because="as good")
    assert done.stage == "shadow"
    assert get_endpoint(store, "slow").routing.shadow == (2,)
    serve_version(store, "slow@2", stage="canary", percent=10, actor=actor, because="looks right")
    assert [one.percent for one in get_endpoint(store, "slow").routing.canary] == [10]
    serve_version(store, "slow@2", actor=actor, because="better")
    assert get_endpoint(store, "slow").routing.versions == (2,)
    assert aliases(store, "slow")["champion"] == 2


def test_a_failed_gate_stops_the_version(sqlite_store: Store, project_file: Path, actor: Actor) -> None:
    strict = load_project(write_project(project_file, accept=0.999))
    _, (outcome,) = apply_project(sqlite_store, strict, actor=actor, because=BECAUSE)
    assert not outcome.passed
    with pytest.raises(GateFailed):
        approve_version(sqlite_store, "slow@1", actor=actor, because="looks fine")
    with pytest.raises(NotFound):
        get_endpoint(sqlite_store, "slow")
    done = approve_version(sqlite_store, "slow@1", actor=actor, because="pilot", override="shown to five people only")
    assert done.approval.override == "shown to five people only"


def test_a_version_that_cannot_be_loaded_is_not_approved(sqlite_store: Store, actor: Actor) -> None:
    put = sqlite_store.blobs.put
    broken = {
        "model": put(b"no model"),
        "signature": put(b'{"inputs":[],"outputs":[],"task":"classification"}'),
        "sample": put(b"no rows"),
    }
    with sqlite_store.change(actor, "by hand") as change:
        for name, more in (("slow", {}), ("mute", {"signature": put(b"no signature")})):
            register_version(
                change, model=name, task="classification",
                artifacts=ModelArtifacts(format="onnx", **(broken | more)),
                lineage=Lineage(data=(put(b"rows"),), code=put(b"code"), environment=put(b"environment")),
            )  # fmt: skip
    for name, why in (("slow", "does not hold rows"), ("mute", "signature cannot be read")):
        with pytest.raises(Refused) as caught:
            approve_version(sqlite_store, f"{name}@1", actor=actor, because="looks fine", override="no gate here")
        assert why in caught.value.why
        assert get_version(sqlite_store, f"{name}@1").status is Status.CANDIDATE
        with pytest.raises(NotFound):
            get_endpoint(sqlite_store, name)


def test_a_version_that_was_judged_where_all_is_as_here_is_not_loaded_again_to_be_approved(
    sqlite_store: Store, project: Project, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(*_: object) -> None:
        raise NotServable("it was loaded", where="here", version="slow@1")

    apply_project(sqlite_store, project, actor=actor, because=BECAUSE)
    monkeypatch.setattr(judging, "check_servable", loaded)
    version = get_version(sqlite_store, "slow@1")
    check_version(sqlite_store, version)
    elsewhere = replace(version, lineage=replace(version.lineage, environment=version.artifacts.model))
    with pytest.raises(NotServable):
        check_version(sqlite_store, elsewhere)
    other = replace(version, artifacts=replace(version.artifacts, model=version.lineage.code))
    with pytest.raises(NotServable):
        check_version(sqlite_store, other)
    path = sqlite_store.blobs.local_path(version.artifacts.model)
    path.chmod(0o644)
    path.write_bytes(b"no model")
    with pytest.raises(NotServable):
        check_version(sqlite_store, version)


def test_only_an_approved_version_is_served(sqlite_store: Store, project: Project, actor: Actor) -> None:
    apply_project(sqlite_store, project, actor=actor, because=BECAUSE)
    with pytest.raises(Exception, match="not released"):
        serve_version(sqlite_store, "slow@1", actor=actor, because="now")
    approve_version(sqlite_store, "slow@1", actor=actor, because="first")
    with pytest.raises(WrongStatus):
        approve_version(sqlite_store, "slow@1", actor=actor, because="again")
    with pytest.raises(Invalid, match="cannot be a canary"):
        serve_version(sqlite_store, "slow@1", stage="canary", percent=5, actor=actor, because="?")


def test_run_one_does_one_thing(sqlite_store: Store, project: Project, actor: Actor) -> None:
    run, outcomes = run_one(sqlite_store, project, "parcels", actor=actor, because="look")
    assert run is not None
    assert [step.name for step in run.steps] == ["snapshot-parcels"]
    assert outcomes == ()
    with pytest.raises(NotFound, match="declares no 'nothing'"):
        run_one(sqlite_store, project, "nothing", actor=actor, because="look")
    assert applied(sqlite_store, "parcels") == {}


def test_the_order_of_events_is_provable(sqlite_store: Store, project: Project, actor: Actor) -> None:
    apply_project(sqlite_store, project, actor=actor, because=BECAUSE)
    approve_version(sqlite_store, "slow@1", actor=actor, because="first model")
    order = [event.type for event in events(sqlite_store, limit=1000)]
    order = order if order.index("data.snapshot-taken") < order.index("registry.release-issued") else order[::-1]
    chain = [
        "data.snapshot-taken",
        "evaluation.evaluation-saved",
        "registry.version-registered",
        "registry.version-approved",
        "registry.release-issued", "serving.routing-changed",
    ]  # fmt: skip
    positions = [order.index(name) for name in chain]
    assert positions == sorted(positions)
    assert get_version(sqlite_store, "slow").number == 1
    assert len(list_pipeline_runs(sqlite_store)) == 1


WEIGHED = {
    'arrived = sent + pd.to_timedelta(np.full(ROWS, 120.0), unit="m")': (
        "arrived = sent + pd.to_timedelta(np.where(delay > 50, 1, 9) * random.exponential(1440.0, ROWS), unit='m')"
    ),
    "label=Parcel.delay > 50,": 'label=Parcel.delay > 50, matures="20d", immature="weight",',
    "def slow(X, y, strength=1.0):": "def slow(X, y, weights, strength=1.0):",
    ".fit(X, y)": ".fit(X, y, logisticregression__sample_weight=weights)",
}


def test_young_rows_are_learnt_from_by_their_weight(sqlite_store: Store, tmp_path: Path, actor: Actor) -> None:
    """Of two months, the rows of the second are younger than what labels take."""
    parts, lines = {}, {}
    for name, words in (("with", {}), ("without", {', immature="weight"': "", ", weights": "", "weights)": "None)"})):
        file = write_project(tmp_path / "parcels.py", **WEIGHED)
        file.write_text(reduce(lambda text, word: text.replace(*word), words.items(), file.read_text()))
        run, _ = apply_project(sqlite_store, load_project(file), actor=actor, because=BECAUSE)
        assert run is not None
        parts[name], lines[name] = run.outputs["features-slow"], run.outputs["evaluate-slow"]["lines"]
    weighed, plain = parts["with"], parts["without"]
    assert weighed["test"] == plain["test"]
    assert weighed["train_rows"] > 1.5 * plain["train_rows"]
    assert weighed["maturity"]["by"] == "declared"
    through = datetime.fromisoformat(weighed["mature_through"])
    assert datetime.fromisoformat(weighed["test_until"]) - through == timedelta(days=20)
    saved = get_evaluation(sqlite_store, get_version(sqlite_store, "slow@1").evaluation_id or "").report.evaluation
    assert (saved.maturity.after_s, saved.mature_through) == (20 * 86400.0, through)
    assert saved.maturity.warning.startswith(
        "Labels were taken for final 20d after the decision, but False takes up to"
    )
    for told in lines.values():
        assert told[-1] == f"warning: {saved.maturity.warning}"
