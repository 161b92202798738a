"""Views, sources and models: what they hold, and that functions stay functions."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

import trimtab as tt
from trimtab.declare import (
    BadModel,
    Comparison,
    Constant,
    ModelSpec,
    RetrainingSpec,
    ServingSpec,
    Span,
    contract_of,
    declaration_digest,
)

from . import declared
from .declared import Flight, Weather, view


def test_a_view() -> None:
    delay = view(owner="ops", description="For delays.")
    assert delay.spec.decided == "scheduled"
    assert delay.spec.decided_offset_s == -7200
    assert [contract.name for contract in delay.spec.contracts] == ["Flight", "Weather"]
    assert (delay.spec.owner, delay.spec.description) == ("ops", "For delays.")
    assert delay.spec.contract("Weather") is contract_of(Weather)
    again = eval(repr(delay), dict(declared.NAMES))
    assert declaration_digest(msgspec.structs.replace(again.spec, description="For delays.")) == declaration_digest(
        delay.spec
    )


def test_a_view_decided_at_the_time_itself() -> None:
    assert view(decided=Flight.scheduled).spec.decided_offset_s == 0.0


def test_a_source_stays_a_function() -> None:
    @tt.source(Flight, every="1h", set_aside=0.2)
    def flights(folder: str = "here") -> list[str]:
        """All flights."""
        return [folder]

    assert flights() == ["here"]
    assert flights("there") == ["there"]
    assert flights.__name__ == "flights"
    assert flights.__doc__ == "All flights."
    spec = flights.spec
    assert (spec.name, spec.function, spec.every_s, spec.set_aside_limit) == ("flights", "flights", 3600.0, 0.2)
    assert spec.contract is contract_of(Flight)
    assert spec.where.startswith("test_models.py:")


def test_sources_of_files_and_queries() -> None:
    file = tt.source(Flight, path="flights.parquet")
    assert (file.spec.name, file.spec.path, file.spec.function) == ("flight", "flights.parquet", None)
    assert tt.source(Flight, path=Path("a") / "b.csv", name="all_flights").spec.path == "a/b.csv"
    query = tt.source(Weather, sql="SELECT * FROM 'weather.parquet'", every="1d").spec
    assert (query.sql, query.every_s) == ("SELECT * FROM 'weather.parquet'", 86400.0)
    assert query.code != tt.source(Weather, sql="SELECT 1", every="1d").spec.code
    with pytest.raises(tt.TrimtabError, match="is no function"):
        file()


@tt.model(view(), label=Flight.arr_delay > 15, train="last 60 days", seed=7, owner="ops")
def late(X: int, y: int, learning_rate: float = 0.1, *, trees: int = 120) -> tuple[int, int, float, int]:
    """Whether a flight arrives late.

    More text.
    """
    return X, y, learning_rate, trees


def test_a_model_stays_a_function() -> None:
    assert late(1, 2) == (1, 2, 0.1, 120)
    assert late(1, 2, trees=5) == (1, 2, 0.1, 5)
    assert late.__name__ == "late"


def test_what_a_model_holds() -> None:
    spec = late.spec
    assert spec.name == spec.function == "late"
    assert spec.params == {"learning_rate": 0.1, "trees": 120}
    assert spec.label.task == "classification"
    assert spec.label.name == "arr_delay > 15"
    assert (spec.train, spec.test) == (
        Span(seconds=60 * 86400.0, text="last 60 days"),
        Span(seconds=14 * 86400.0, text="last 14 days"),
    )
    assert (spec.seed, spec.owner, spec.description) == (7, "ops", "Whether a flight arrives late.")
    assert spec.accept == ()
    assert spec.serving is None
    assert spec.retraining is None
    assert hash(spec) == hash(late.spec)
    assert msgspec.json.decode(msgspec.json.encode(spec), type=ModelSpec) == spec
    assert repr(late) == (
        '@tt.model(delay, label=Flight.arr_delay > 15, train="last 60 days", test="last 14 days") '
        "late(X, y, learning_rate=0.1, trees=120)"
    )


def test_labels() -> None:
    def label_of(label: object) -> object:
        return tt.model(view(), label=label)(lambda_named)._spec.label  # type: ignore[arg-type]

    def lambda_named(X: object, y: object) -> None: ...

    number = label_of(Flight.arr_delay)
    assert (number.task, number.name) == ("regression", "arr_delay")
    truth = label_of(Flight.cancelled)
    assert truth.expression == Comparison(op="==", left=Flight.cancelled.spec, right=Constant(value=True))
    assert (truth.task, truth.name) == ("classification", "cancelled")
    assert label_of((Flight.arr_delay > 15).named("late")).name == "late"
    assert label_of(Flight.arr_delay - Flight.dep_delay > 5).name == "(arr_delay - dep_delay) > 5"


@pytest.mark.parametrize(
    ("broken_rows", "spec"),
    [
        ("flag", ServingSpec(rollout=tt.full.stages, broken_rows="flag")),
        ("refuse", ServingSpec(rollout=tt.full.stages)),
    ],
)
def test_rows_that_break_their_contract(broken_rows: str, spec: ServingSpec) -> None:
    """Refusing them is what is done anyway: said or not, it is the same declaration."""

    @tt.model(view(), label=Flight.arr_delay > 15)
    def slow(X: object, y: object) -> None: ...

    assert slow.serve(broken_rows=broken_rows).spec.serving == spec  # type: ignore[arg-type]
    assert declaration_digest(slow.spec.serving) == declaration_digest(spec)


def test_policies_of_a_model() -> None:
    @tt.model(view(), label=Flight.arr_delay > 15)
    def slow(X: object, y: object) -> None: ...

    said = slow.accept_if(tt.auc >= 0.65, (tt.recall >= 0.2) & (tt.f1 >= 0.2), tt.auc.worst(by="carrier") >= 0.6)
    assert said is slow
    assert [repr(condition.left.name) for condition in slow.spec.accept] == ["'auc'", "'recall'", "'f1'", "'auc'"]
    rollout = tt.shadow("1d") >> tt.full
    slow.serve(rollout=rollout, roll_back_if=tt.errors > 0.01, sticky_by="carrier")
    assert slow.spec.serving == ServingSpec(
        rollout=rollout.stages, roll_back_if=(tt.errors > 0.01).spec, sticky_by="carrier"
    )
    slow.retrain_when(tt.drift.of("weather_temp") > 0.2, at_most="once a week", approve=tt.by("ops-lead"))
    assert slow.spec.retraining == RetrainingSpec(
        when=(tt.drift.of("weather_temp") > 0.2).spec, at_most_s=7 * 86400.0, approve_by="ops-lead"
    )
    assert repr(tt.by("ops-lead").other_than_author()) == 'tt.by("ops-lead").other_than_author()'
    assert hash(slow.spec)


def test_two_persons_are_asked_for() -> None:
    @tt.model(view(), label=Flight.arr_delay > 15)
    def slow(X: object, y: object) -> None: ...

    slow.retrain_when(tt.every("30d"), approve=tt.by("ops-lead").other_than_author())
    assert slow.spec.retraining is not None
    assert (slow.spec.retraining.approve_by, slow.spec.retraining.other_than_author) == ("ops-lead", True)
    assert slow.spec.retraining.expires_s is msgspec.UNSET


def test_an_approval_may_be_for_a_time() -> None:
    @tt.model(view(), label=Flight.arr_delay > 15)
    def slow(X: object, y: object) -> None: ...

    approver = tt.by("risk", expires="180d").other_than_author()
    assert repr(approver) == 'tt.by("risk", expires="180d").other_than_author()'
    slow.retrain_when(tt.every("30d"), approve=approver)
    assert slow.spec.retraining is not None
    assert slow.spec.retraining.expires_s == 180 * 86400.0


def test_serving_needs_nothing_said() -> None:
    @tt.model(view(), label=Flight.arr_delay > 15)
    def slow(X: object, y: object) -> None: ...

    assert slow.serve().spec.serving == ServingSpec(rollout=tt.full.stages)


def test_a_cell_may_run_again() -> None:
    @tt.model(view(), label=Flight.arr_delay > 15)
    def slow(X: object, y: object) -> None: ...

    for least in (0.6, 0.7):
        slow.accept_if(tt.auc >= least)
    assert slow.spec.accept[0].right.value == 0.7
    with pytest.raises(BadModel, match="said twice"):
        slow.accept_if(tt.auc >= 0.8)


def test_a_label_matures_at_an_age_or_at_a_time_of_the_row() -> None:
    plain = tt.model(view(), label=Flight.arr_delay > 15)
    for matures, seconds, column in (
        ("30d", 30 * 86400.0, msgspec.UNSET),
        (tt.hours(2), 7200.0, msgspec.UNSET),
        (Flight.arrived, msgspec.UNSET, "arrived"),
    ):
        label = tt.model(view(), label=Flight.arr_delay > 15, matures=matures)(fit).spec.label
        assert (label.matures_s, label.matures_at, label.has_maturity) == (seconds, column, True)
        assert declaration_digest(label) != declaration_digest(plain(fit).spec.label)
    assert "matures" not in repr(plain(fit))
    assert ', matures="30d", immature="weight", ' in repr(
        tt.model(view(), label=Flight.arr_delay > 15, matures="30d", immature="weight")(learn_weighted)
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"matures": 30}, "matures=30 is not a duration"),
        ({"matures": "soon"}, "matures='soon' is not a duration"),
        ({"matures": Flight.arr_delay}, "says no time of the row"),
        ({"matures": Weather.at}, "says no time of the row"),
        ({"immature": "drop"}, "immature='drop' is not known"),
    ],
)
def test_what_says_no_age_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(tt.TrimtabError, match=re.escape(says)):
        tt.model(view(), label=Flight.arr_delay > 15, **given)


def test_a_function_that_is_given_weights_takes_them() -> None:
    weighted = tt.model(view(), label=Flight.arr_delay > 15, immature="weight")
    assert weighted(learn_weighted).spec.params == {"trees": 10}
    with pytest.raises(BadModel, match="does not take the rows, their labels and their weights"):
        weighted(fit)


def fit(X: Any, y: Any, trees: int = 10) -> Any:
    return X, y, trees


def learn_weighted(X: Any, y: Any, weights: Any, trees: int = 10) -> Any:
    return X, y, weights, trees
