"""The verbs in Python: what declared objects and ``tt.why`` answer in the folder of a project, and how they refuse."""

import asyncio
import shutil
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from tests.client.conftest import served
from tests.loop.parcels import write_project

import trimtab as tt
from trimtab.data import take_snapshot
from trimtab.declare import FeatureView, Model, Project, load_project
from trimtab.features import BeforeHorizon, UnknownRow
from trimtab.kernel import Actor, Conflict, Invalid, NotFound, Settings
from trimtab.loop import NothingBefore, apply_project, approve_version, run_one
from trimtab.notebook import NoSnapshot
from trimtab.registry import VersionMissing
from trimtab.server import Rooms
from trimtab.serving import Ask, DecisionUnknown
from trimtab.store import NoProject, Store, open_store

ME = Actor("ann")
FLIGHTS = Path(__file__).parents[1] / "examples" / "flights.py"
Here = pytest.MonkeyPatch
ORDERS = """
import trimtab as tt
import pandas as pd

class Order(tt.Contract):
    number: tt.Key[int]
    at: tt.EventTime
    amount: tt.Float

@tt.source(Order)
def orders():
    return pd.DataFrame({"number": [1, 2], "at": ["2013-01-01", "2013-01-01"], "amount": [1.5, 2.5]})

order = tt.features("order", of=Order, decided=Order.at, columns=[Order.amount])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parcels, applied, approved and asked once, in a project that lives on 2013-03-04."""
    folder = tmp_path_factory.mktemp("parcels")
    project = load_project(write_project(folder / "parcels.py"))
    store = open_store(Settings(home=str(folder / ".trimtab"), clock="2013-03-04"))
    try:
        apply_project(store, project, actor=ME, because="the parcels of early 2013")
        approve_version(store, "slow@1", actor=ME, because="first model")
        (folder / "decision").write_text(asyncio.run(ask_once(store)), "utf-8")
    finally:
        store.close()
    return folder


async def ask_once(store: Store) -> str:
    rooms = Rooms(store)
    await rooms.gateway.start()
    try:
        answer = await rooms.gateway.infer("slow", Ask(columns={"parcel_id": ["p2900"]}))
    finally:
        await rooms.gateway.stop()
    return answer.decision_ids[0]


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    """Work in that folder, as a notebook would."""
    live_in(monkeypatch, folder, clock="2013-03-04")
    return monkeypatch


def live_in(monkeypatch: pytest.MonkeyPatch, folder: Path, *, clock: str) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TRIMTAB_CLOCK", clock)
    for name in ("TRIMTAB_HOME", "TRIMTAB_SERVER", "TRIMTAB_DATABASE"):
        monkeypatch.delenv(name, raising=False)


def declared(folder: Path) -> tuple[FeatureView, "Model[..., Any]", Any]:
    names = load_project(folder / "parcels.py").namespace
    return names["parcel"], names["slow"], names["Parcel"]


def assert_same_rows(view: FeatureView, key: str, *, since: str, until: str, rows: int) -> None:
    """Draw training rows and ask for each online: the same columns, and the same values to the last bit."""
    frame = view.training(since=since, until=until)
    drawn = frame.iloc[np.random.default_rng(5).choice(len(frame), rows, replace=False)]
    assert rows == len(drawn)
    for number in range(rows):
        offline = drawn.iloc[[number]].reset_index(drop=True)
        online = view.online(**{key: offline[f"key_{key}"][0]})
        # A single row cannot know whether its column has a gap elsewhere, nor which other categories there are.
        pd.testing.assert_frame_equal(
            online, offline, check_exact=True, check_dtype=False, check_categorical=False, obj=f"row {number}"
        )


@pytest.mark.usefixtures("here")
def test_a_training_row_and_an_online_row_of_the_parcels_are_equal(folder: Path) -> None:
    view, _, _ = declared(folder)
    assert_same_rows(view, "parcel_id", since="2013-03-02T12:00", until="2013-03-04", rows=60)


@pytest.mark.usefixtures("here")
def test_a_moment_is_text_a_day_or_an_aware_time(folder: Path) -> None:
    view, _, _ = declared(folder)
    frame = view.training(since="2013-03-03")
    for since in (date(2013, 3, 3), datetime(2013, 3, 3, tzinfo=UTC), pd.Timestamp("2013-03-03", tz="UTC")):
        pd.testing.assert_frame_equal(view.training(since=since), frame)
    for wrong in (5, float("nan"), "yesterday", datetime(2013, 3, 3)):
        with pytest.raises(Invalid):
            view.training(since=wrong)  # type: ignore[arg-type]


def test_a_whole_key_is_taken_from_a_frame_as_it_stands_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "orders.py").write_text(ORDERS)
    project = load_project(tmp_path / "orders.py")
    live_in(monkeypatch, tmp_path, clock="2013-01-02")
    store = open_store(Settings(home=str(tmp_path / ".trimtab"), clock="2013-01-02"))
    try:
        run_one(store, project, "order", actor=ME, because="bring it online")
    finally:
        store.close()
    view = project.namespace["order"]
    frame = view.training()
    pd.testing.assert_frame_equal(view.online(number=frame["key_number"][1]), frame.iloc[[1]].reset_index(drop=True))


def test_a_training_row_and_an_online_row_of_the_flights_are_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = load_project(FLIGHTS)
    live_in(monkeypatch, tmp_path, clock="2013-06-20")
    store = open_store(Settings(home=str(tmp_path / ".trimtab"), clock="2013-06-20"))
    try:
        run_one(store, project, "delay", actor=ME, because="bring it online")
    finally:
        store.close()
    view = project.namespace["delay"]
    assert_same_rows(view, "flight_id", since="2013-06-19", until="2013-06-20", rows=100)
    year = view.training()
    assert len(year) == 336_776
    assert list(year.columns[:4]) == ["key_flight_id", "decided_at", "origin", "carrier"]


@pytest.mark.usefixtures("here")
def test_a_training_frame_fits_the_train_function(folder: Path) -> None:
    view, slow, contract = declared(folder)
    frame = view.training(since="2013-01-10", until=datetime(2013, 2, 1, tzinfo=UTC), label=contract.delay > 50)
    assert list(frame.columns) == [
        "key_parcel_id", "decided_at", "weight", "depot", "sent_hour", "depot_delay_mean_24h", "label",
        "label_known_at",
    ]  # fmt: skip
    assert frame["decided_at"].min() == pd.Timestamp("2013-01-10", tz="UTC")
    assert frame["decided_at"].max() < pd.Timestamp("2013-02-01", tz="UTC")
    fitted = slow(frame[["weight", "depot", "sent_hour", "depot_delay_mean_24h"]], frame["label"].astype(int))
    row = view.online(parcel_id="p2900").drop(columns=["key_parcel_id", "decided_at"])
    assert 0 < fitted.predict_proba(row)[0, 1] < 1


@pytest.mark.usefixtures("here")
def test_what_became_known_later_does_not_exist(folder: Path) -> None:
    view, _, contract = declared(folder)
    late = view.training(since="2013-02-28", until="2013-03-01", label=contract.delay > 50, known_by="2013-02-28T12:00")
    known = late["label"].notna()
    assert late.loc[known, "decided_at"].max() == pd.Timestamp("2013-02-28T10:00", tz="UTC")
    assert known.sum() == 21
    now = view.training(since="2013-03-03", label=contract.delay > 50)
    assert now.loc[now["label"].notna(), "label_known_at"].max() <= pd.Timestamp("2013-03-04", tz="UTC")


@pytest.mark.usefixtures("here")
def test_versions_go_by_number_and_by_alias(folder: Path) -> None:
    _, slow, _ = declared(folder)
    versions = slow.versions
    assert list(versions) == [1]
    assert versions[1].ref == versions["champion"].ref == versions["latest"].ref == "slow@1"
    assert "champion" in versions
    assert 2 not in versions
    assert versions.get("mine") is None
    assert repr(versions).splitlines()[1].split() == ["1", "approved,", "champion"]
    with pytest.raises(KeyError) as caught:
        versions["mine"]
    assert isinstance(caught.value, VersionMissing)
    assert "champion" in caught.value.why


@pytest.mark.usefixtures("here")
def test_the_first_version_has_none_to_go_back_to(folder: Path) -> None:
    _, slow, _ = declared(folder)
    with pytest.raises(NothingBefore):
        slow.rollback("customers complain")
    assert slow.versions["champion"].number == 1


@pytest.mark.usefixtures("here")
def test_why_explains_a_decision(folder: Path) -> None:
    found = tt.why((folder / "decision").read_text("utf-8"))
    assert found.version is not None
    assert found.version.ref == "slow@1"
    assert found.approval is not None
    assert found.missing == ()
    assert {used.name for used in found.features} == {"weight", "depot", "sent_hour", "depot_delay_mean_24h"}
    with pytest.raises(DecisionUnknown):
        tt.why("01JX0000000000000000000000")


@pytest.mark.usefixtures("here")
def test_a_wrong_question_is_refused_in_words(folder: Path) -> None:
    view, _, _ = declared(folder)
    with pytest.raises(Invalid, match="is no key of Parcel") as wrong:
        view.online(parcel="p1")
    assert wrong.value.next == "write parcel.online(parcel_id=...)"
    with pytest.raises(Invalid):
        view.online()
    with pytest.raises(UnknownRow):
        view.online(parcel_id="p99999")
    with pytest.raises(BeforeHorizon):
        view.online(parcel_id="p0")
    with pytest.raises(Invalid, match="is not a time"):
        view.training(since="last week")


def test_a_server_answers_the_same_from_an_empty_folder(here: Here, folder: Path, tmp_path: Path) -> None:
    view, slow, _ = declared(folder)
    decision = (folder / "decision").read_text("utf-8")
    frame, online = view.training(since="2013-03-03"), view.online(parcel_id="p2900")
    explained = msgspec.structs.replace(tt.why(decision), explained_at=datetime(2013, 3, 4, tzinfo=UTC))
    store = open_store(Settings(home=str(folder / ".trimtab"), clock="2013-03-04"))
    try:
        with served(store) as url:
            live_in(here, tmp_path, clock="system")
            here.setenv("TRIMTAB_SERVER", url)
            pd.testing.assert_frame_equal(view.training(since="2013-03-03"), frame)
            pd.testing.assert_frame_equal(view.online(parcel_id="p2900"), online)
            assert slow.versions["champion"].ref == "slow@1"
            assert msgspec.structs.replace(tt.why(decision), explained_at=explained.explained_at) == explained
            with pytest.raises(NothingBefore):
                slow.rollback(because="a try")
            with pytest.raises(DecisionUnknown):
                tt.why("01JX0000000000000000000000")
    finally:
        store.close()
    assert list(tmp_path.iterdir()) == []


def test_a_view_that_is_declared_otherwise_is_not_read_from_a_server(here: Here, folder: Path, tmp_path: Path) -> None:
    file = write_project(tmp_path / "parcels.py")
    file.write_text(file.read_text("utf-8").replace("Parcel.weight, ", ""), "utf-8")
    changed = load_project(file).namespace["parcel"]
    store = open_store(Settings(home=str(folder / ".trimtab"), clock="2013-03-04"))
    try:
        with served(store) as url:
            here.setenv("TRIMTAB_SERVER", url)
            with pytest.raises(Conflict, match="declared here in another way"):
                changed.online(parcel_id="p2900")
    finally:
        store.close()


def test_without_a_project_nothing_is_made(folder: Path, tmp_path: Path, monkeypatch: Here) -> None:
    view, slow, _ = declared(folder)
    live_in(monkeypatch, tmp_path, clock="2013-03-04")
    for question in (
        lambda: tt.why("01JX0000000000000000000000"), view.training, lambda: view.online(parcel_id="p2900"),
        lambda: slow.versions, lambda: slow.rollback(because="x"),
    ):  # fmt: skip
        with pytest.raises(NoProject, match=r"there is no project in \.trimtab"):
            question()
    assert list(tmp_path.iterdir()) == []


def test_a_new_project_has_no_rows_and_no_versions(
    folder: Path, tmp_path: Path, migrated: Path, monkeypatch: Here
) -> None:
    view, slow, _ = declared(folder)
    live_in(monkeypatch, tmp_path, clock="2013-03-04")
    (tmp_path / ".trimtab").mkdir()
    shutil.copy(migrated, tmp_path / ".trimtab" / "trimtab.db")
    with pytest.raises(NoSnapshot) as nothing:
        view.training()
    assert isinstance(nothing.value, NotFound)
    assert "trimtab apply" in nothing.value.next
    assert len(slow.versions) == 0
    with pytest.raises(VersionMissing, match="has no version yet"):
        slow.versions[1]


def test_two_sources_of_one_contract_are_not_confused(tmp_path: Path, monkeypatch: Here) -> None:
    live_in(monkeypatch, tmp_path, clock="2013-03-04")
    store = open_store(Settings(home=str(tmp_path / ".trimtab"), clock="2013-03-04"))
    try:
        project: Project | None = None
        for name in ("parcels", "letters"):
            file = write_project(tmp_path / f"{name}.py")
            file.write_text(file.read_text("utf-8").replace("def parcels", f"def {name}"), "utf-8")
            project = load_project(file)
            take_snapshot(store, project.spec.sources[0], project.namespace, actor=ME)
    finally:
        store.close()
    assert project is not None
    with pytest.raises(Conflict, match="letters, parcels"):
        project.namespace["parcel"].training()
