"""From a packed model to an answer: the registry's releases as the gateway meets them."""

import asyncio
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tests.forging import by_sql
from tests.registry.cases import ANN, BOB, CODE, ENVIRONMENT, evaluated
from tests.serving.late import NAMES, VIEW, ask_for, history, plain, trained

from trimtab.features import digest_of_view, register_view
from trimtab.kernel import Invalid, Refused
from trimtab.registry import (
    Limits,
    Lineage,
    ModelArtifacts,
    Version,
    approve,
    register_version,
    release_for,
    revoke_release,
)
from trimtab.serving import (
    Ask,
    Canary,
    Gateway,
    Loader,
    NotReady,
    NotServable,
    PromiseBroken,
    RegisteredReleases,
    Routing,
    find_decision,
    set_routing,
)
from trimtab.store import RowForged, Store
from trimtab.tracking import ALLOWED_TYPES, PackedModel, pack_model


def entered(
    store: Store, packed: PackedModel, *, limits: Limits | None = None, released: bool = True, name: str = "late"
) -> Version:
    """Register a packed model with its view, approve it, and release it."""
    put = store.blobs.put
    artifacts = ModelArtifacts(
        model=put(packed.data), format=packed.format, signature=put(msgspec.json.encode(packed.signature)),
        sample=put(packed.sample),
    )  # fmt: skip
    lineage = Lineage(
        data=(put(b"flights"),), code=CODE, environment=ENVIRONMENT, features=digest_of_view(VIEW), view=VIEW.name
    )
    evaluation = evaluated(store, ANN, model=packed.data)
    with store.change(ANN, "train") as change:
        register_view(change, VIEW)
        version = register_version(
            change, model=name, artifacts=artifacts, lineage=lineage, evaluation_id=evaluation, task="classification"
        )
    with store.change(BOB, "it is better") as change:
        approve(change, version, limits=limits)
    if released:
        release_for(store, version)
    return version


def routed(store: Store, **places: Any) -> None:
    with store.change(BOB, "try it") as change:
        set_routing(
            change,
            Routing(**({"endpoint": "late", "model": "late", "champion": 1} | places)),
            releases=RegisteredReleases(store),
        )


def answer(store: Store, ask: Ask) -> Any:
    async def one() -> Any:
        gateway = Gateway(store, releases=RegisteredReleases(store), allowed=ALLOWED_TYPES)
        await gateway.start()
        try:
            return await gateway.infer("late", ask), gateway.target("late").loaded
        finally:
            await gateway.stop()

    return asyncio.run(one())


@pytest.fixture(scope="module")
def packed() -> PackedModel:
    return pack_model(trained(1), history(seed=1)[0])


def test_a_release_answers_at_its_endpoint_and_in_no_other_models_name(store: Store, packed: PackedModel) -> None:
    """Another model, whose policy asks for nobody, must not answer where a governed one would."""
    entered(store, packed)
    entered(store, packed, name="other", limits=Limits(endpoint="late"))
    with pytest.raises(NotServable, match="other cannot answer at the endpoint late"):
        routed(store, model="other")
    with pytest.raises(NotServable, match="late@1 is not approved for the endpoint elsewhere"):
        routed(store, endpoint="elsewhere")
    entered(store, packed, name="third", limits=Limits(endpoint="elsewhere"))
    routed(store, model="third", endpoint="elsewhere")
    routed(store)


def test_a_packed_model_is_served_as_it_was_trained(store: Store, packed: PackedModel) -> None:
    version = entered(store, packed)
    routed(store)
    frame, _ = history(50, seed=7)
    rows = [[float(v) if n == "scheduled_hour" else v for n, v in zip(NAMES, row, strict=True)] for row in plain(frame)]
    found, loaded = answer(store, ask_for(rows))
    np.testing.assert_array_equal(found.outputs["probability"], trained(1).predict_proba(frame)[:, 1])
    assert loaded.runtime.name == "scikit-learn, trees at once"
    assert loaded.released.view == VIEW
    decision = find_decision(store, found.decision_ids[0])
    assert decision.release == release_for(store, version).digest


def test_a_model_that_could_do_without_a_value_is_asked_for_none_that_was_never_missing(
    sqlite_store: Store, packed: PackedModel
) -> None:
    entered(sqlite_store, packed)
    routed(sqlite_store)
    (row,) = plain(history(1, seed=7)[0])
    row[NAMES.index("carrier")] = row[NAMES.index("weather_temp")] = None  # these were missing in training
    answer(sqlite_store, ask_for([row]))
    for name in ("origin", "distance", "scheduled_hour"):
        lacking = [*row]
        lacking[NAMES.index(name)] = None
        with pytest.raises(PromiseBroken if name != "scheduled_hour" else Invalid, match=f"{name} is missing"):
            answer(sqlite_store, ask_for([lacking]))


def test_what_becomes_onnx_answers_alike(sqlite_store: Store) -> None:
    frame, late = history(300, seed=1)
    numbers = frame[["distance", "scheduled_hour"]]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(numbers, late.astype(bool))
    packed = pack_model(model, numbers)
    assert packed.format == "onnx"
    entered(sqlite_store, packed)
    routed(sqlite_store)
    ask = Ask(columns={name: numbers[name].tolist()[:20] for name in numbers})
    found, loaded = answer(sqlite_store, ask)
    assert [(o.name, o.datatype, o.shape) for o in loaded.runtime.outputs] == [
        ("probability", "FP64", ()), ("label", "BOOL", ()),
    ]  # fmt: skip
    np.testing.assert_allclose(found.outputs["probability"], model.predict_proba(numbers[:20])[:, 1], rtol=1e-5)
    assert found.outputs["label"] == model.predict(numbers[:20]).tolist()


def test_an_approval_without_a_release_is_not_enough(sqlite_store: Store, packed: PackedModel) -> None:
    entered(sqlite_store, packed, released=False)
    with pytest.raises(Refused, match="has no release"):
        routed(sqlite_store)


def test_an_approval_reaches_as_far_as_it_says(store: Store, packed: PackedModel) -> None:
    entered(store, packed)
    limits = Limits(stages=("shadow", "canary"), percent=10.0)
    entered(store, pack_model(trained(2), history(seed=1)[0]), limits=limits)
    routed(store, shadow=(2,))
    routed(store, canary=(Canary(version=2, percent=10.0),))
    for places in ({"canary": (Canary(version=2, percent=11.0),)}, {"champion": 2}):
        with pytest.raises(Refused, match="is not approved for"):
            routed(store, **places)


def test_a_revoked_release_is_neither_routed_nor_loaded(sqlite_store: Store, packed: PackedModel) -> None:
    version = entered(sqlite_store, packed)
    routed(sqlite_store)
    with sqlite_store.change(BOB, "a mistake") as change:
        revoke_release(change, release_for(sqlite_store, version).statement.id)
    with pytest.raises(NotReady, match="revoked"):
        answer(sqlite_store, ask_for(plain(history(1)[0])))
    with pytest.raises(Refused, match="revoked"):
        Loader(sqlite_store, RegisteredReleases(sqlite_store), allowed=ALLOWED_TYPES).load("late", 1)


@pytest.mark.parametrize("what", ["model", "signature", "sample"])
def test_any_covered_byte_that_changes_stops_the_load(sqlite_store: Store, packed: PackedModel, what: str) -> None:
    version = entered(sqlite_store, packed)
    path = sqlite_store.blobs.local_path(getattr(version.artifacts, what))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    with pytest.raises(Refused):
        Loader(sqlite_store, RegisteredReleases(sqlite_store), allowed=ALLOWED_TYPES).load("late", 1)


def test_a_view_that_was_declared_anew_does_not_change_what_is_served(sqlite_store: Store, packed: PackedModel) -> None:
    entered(sqlite_store, packed)
    other = msgspec.structs.replace(VIEW, columns=VIEW.columns[:2])
    with sqlite_store.change(ANN, "fewer columns") as change:
        register_view(change, other)
    assert RegisteredReleases(sqlite_store).checked("late", 1).view == VIEW
    assert RegisteredReleases(sqlite_store).checked("late", 1).inputs[0].categories == ("EWR", "JFK", "LGA")


@pytest.mark.parametrize("what", ["releases", "versions"])
def test_rows_of_a_released_version_do_not_release_another(store: Store, packed: PackedModel, what: str) -> None:
    """Somebody puts the row of one version in the place of another's: nobody said yes to that number."""
    entered(store, packed)
    entered(store, msgspec.structs.replace(packed, sample=pack_model(trained(2), history(seed=2)[0]).sample))
    if what == "releases":
        by_sql(store, "UPDATE registry_releases SET version = 3 - version")
    else:
        by_sql(store, "UPDATE registry_versions SET record = (SELECT record FROM registry_versions WHERE number = 1)")
    with pytest.raises(RowForged):
        RegisteredReleases(store).checked("late", 2)


def test_a_version_that_is_gone_leaves_its_place_and_a_row_that_cannot_be_read_is_named(
    store: Store, packed: PackedModel
) -> None:
    entered(store, packed)
    routed(store)

    async def rechecked(*statements: str) -> Any:
        gateway = Gateway(store, releases=RegisteredReleases(store), allowed=ALLOWED_TYPES)
        await gateway.start()
        try:
            for statement in statements:
                by_sql(store, statement)
            await gateway.recheck()
            return gateway.status()[0]
        finally:
            await gateway.stop()

    damaged = asyncio.run(rechecked("UPDATE registry_versions SET record = '[' || record"))
    assert (damaged.ready, len(damaged.problems)) == (True, 1)
    by_sql(store, "UPDATE registry_versions SET record = substr(record, 2)")
    others = [f"DELETE FROM registry_{what}" for what in ("aliases", "releases", "approvals")]
    gone = asyncio.run(rechecked(*others, "UPDATE registry_versions SET number = 7"))
    assert (gone.ready, len(gone.problems)) == (False, 1)
