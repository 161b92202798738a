"""Metrics, conditions and policies: specs, texts, and how they are read aloud."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import trimtab as tt
from trimtab.declare import (
    AllOf,
    AnyOf,
    AtApproval,
    Condition,
    Every,
    Metric,
    PolicyExpression,
    Quantity,
    Scaled,
    Threshold,
    describe,
)
from trimtab.declare.meanings import MEANINGS
from trimtab.declare.metrics import own

DAY = 86400.0


def test_a_condition() -> None:
    condition = tt.auc >= 0.65
    assert condition.spec == Condition(left=Metric(name="auc"), op=">=", right=Threshold(value=0.65))
    assert repr(condition) == "tt.auc >= 0.65"
    assert condition == tt.auc.at_least(0.65)
    assert condition.where.startswith("test_policies.py:")


def test_spelled_out_forms() -> None:
    assert tt.auc.at_most(0.9) == (tt.auc <= 0.9)
    assert tt.errors.above(0.01) == (tt.errors > 0.01)
    assert tt.errors.below(0.01) == (tt.errors < 0.01)
    assert tt.any_of(tt.errors > 0.01, tt.auc < 0.5) == (tt.errors > 0.01) | (tt.auc < 0.5)
    assert tt.all_of(tt.errors > 0.01, tt.auc < 0.5) == (tt.errors > 0.01) & (tt.auc < 0.5)


def test_units() -> None:
    assert (tt.latency.p99 <= "20ms").spec.right == Threshold(value=0.02, text="20ms")
    assert (tt.latency.p50 <= "1.5 s").spec.right == Threshold(value=1.5, text="1.5 s")
    assert (tt.errors > "1%").spec.right == Threshold(value=0.01, text="1%")


def test_the_champion() -> None:
    better = tt.log_loss <= tt.champion.log_loss
    assert better.spec.right == Metric(name="log_loss", of="champion")
    assert (tt.champion.log_loss >= tt.log_loss) == better, "what is judged comes first"
    scaled = tt.log_loss > tt.champion.log_loss * 1.03 + 0.01
    assert scaled.spec.right == Scaled(metric=Metric(name="log_loss", of="champion"), factor=1.03, plus=0.01)
    assert repr(scaled) == "tt.log_loss > tt.champion.log_loss * 1.03 + 0.01"
    assert (tt.latency.p99 <= tt.champion.latency.p99 * 2).spec.right.metric.name == "latency.p99"


def test_at_approval() -> None:
    worse = tt.log_loss.over("7d") > tt.at_approval * 1.10
    assert worse.spec.left == Metric(name="log_loss", over_s=7 * DAY)
    assert worse.spec.right == Scaled(metric=AtApproval(), factor=1.1)
    assert (tt.at_approval < tt.log_loss).spec == (tt.log_loss > tt.at_approval).spec
    assert (tt.auc >= tt.at_approval.auc).spec.right == Metric(name="auc", of="at_approval")


def test_slices() -> None:
    worst = tt.auc.worst(by="carrier", at_least=1000)
    assert worst.spec == Metric(name="auc", over_slices="worst", slice_by="carrier", at_least=1000)
    assert tt.recall.gap(by="origin").spec == Metric(name="recall", over_slices="gap", slice_by="origin")
    odds = tt.equalised_odds(by="origin", at_least=50)
    assert odds.spec == Metric(name="equalised_odds", over_slices="gap", slice_by="origin", at_least=50)
    assert repr(odds <= 0.1) == 'tt.equalised_odds(by="origin", at_least=50) <= 0.1'
    proven = tt.recall.gap(by="origin").beyond_chance
    assert proven.spec == Metric(name="recall", over_slices="gap_beyond_chance", slice_by="origin")
    assert repr(proven <= 0.1) == 'tt.recall.gap(by="origin").beyond_chance <= 0.1'
    assert repr(odds.beyond_chance) == 'tt.equalised_odds(by="origin", at_least=50).beyond_chance'


def test_drift() -> None:
    assert tt.drift.of_prediction.spec == Metric(name="drift.of_prediction")
    assert tt.drift.of("weather_temp").spec == Metric(name="drift.of", feature="weather_temp")


def test_joining_is_flat() -> None:
    a, b, c = tt.auc < 0.5, tt.errors > 0.1, tt.every("30d")
    assert (a | b | c).spec == AnyOf(terms=(a.spec, b.spec, Every(seconds=30 * DAY)))
    assert ((a | b) & c).spec == AllOf(terms=((a | b).spec, c.spec))
    assert repr((a | b) & c) == '((tt.auc < 0.5) | (tt.errors > 0.1)) & (tt.every("30d"))'
    assert tt.any_of(a) == a


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        (tt.auc >= 0.65, "auc at least 0.65"),
        (tt.log_loss <= tt.champion.log_loss, "log loss at most the champion's log loss"),
        (tt.auc.worst(by="carrier", at_least=1000) >= 0.60, "worst auc by carrier (at least 1000 rows) at least 0.6"),
        (tt.recall.gap(by="origin") <= 0.25, "recall gap by origin at most 0.25"),
        (tt.recall.gap(by="origin").beyond_chance <= 0.25, "recall gap by origin beyond chance at most 0.25"),
        (tt.latency.p99 <= "20ms", "latency p99 at most 20ms"),
        (tt.log_loss > tt.champion.log_loss * 1.03, "log loss above the champion's log loss times 1.03"),
        (tt.drift.of("temp") > 0.2, "drift of temp above 0.2"),
        (
            tt.log_loss.over("7d") > tt.at_approval * 1.10,
            "log loss over 7d above its value at approval times 1.1",
        ),
        (tt.auc < tt.champion.auc - 0.01, "auc below the champion's auc minus 0.01"),
        (tt.auc < tt.at_approval.auc, "auc below the auc at approval"),
        (tt.every("30d"), "every 30d"),
        (
            (tt.errors > 0.01) & ((tt.auc < 0.5) | (tt.f1 < 0.5)),
            "share of failed requests above 0.01, and (auc below 0.5, or F1 below 0.5)",
        ),
    ],
    ids=str,
)
def test_reading_aloud(policy: PolicyExpression, words: str) -> None:
    assert describe(policy.spec) == words


def test_each_metric_has_a_word_and_each_word_a_meaning() -> None:
    words = set()
    for name, value in vars(own).items():
        if isinstance(value, Quantity):
            words.add(name)
    words |= {f"latency.{name}" for name in vars(own.latency) if not name.startswith("_")}
    words |= {"drift.of", "drift.of_prediction", "equalised_odds", "new_rows"}
    assert words == set(MEANINGS)


def test_metrics_are_values() -> None:
    assert tt.auc != tt.recall
    assert len({tt.auc, tt.champion.auc, tt.auc}) == 2
    assert (tt.auc >= 0.5) != (tt.auc >= 0.6)
    assert tt.auc != None  # noqa: E711  comparing with what is no number is no condition


# --- properties ----------------------------------------------------------------------------------------------------

classified = st.sampled_from([tt.auc, tt.log_loss, tt.recall, tt.brier, tt.selection_rate])
names = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=10)
sliced = st.builds(lambda m, by, n: m.worst(by=by, at_least=n), classified, names, st.integers(0, 10**6)) | st.builds(
    lambda m, by, proven: m.gap(by=by).beyond_chance if proven else m.gap(by=by), classified, names, st.booleans()
)
watched = st.builds(lambda m, days: m.over(f"{days}d"), classified, st.integers(1, 400))
quantities = classified | sliced | watched | st.just(tt.drift.of_prediction) | names.map(tt.drift.of)
factors = st.floats(0.01, 100).filter(lambda x: x != 1)
compared = st.sampled_from(["__lt__", "__le__", "__gt__", "__ge__"])
plain = st.builds(lambda q, op, x: getattr(q, op)(x), quantities, compared, st.floats(0, 1))
against = st.builds(lambda q, op, x: getattr(q, op)(tt.at_approval * x + 0.5), quantities, compared, factors)
latencies = st.builds(lambda ms: tt.latency.p99 <= f"{ms}ms", st.integers(1, 10**6))
conditions = plain | against | latencies | st.integers(1, 1000).map(lambda days: tt.every(f"{days}d"))
policies = st.recursive(
    conditions,
    lambda inner: st.lists(inner, min_size=2, max_size=3).flatmap(
        lambda terms: st.sampled_from([tt.any_of(*terms), tt.all_of(*terms)])
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(policies)
def test_the_text_of_a_policy_gives_it_back(policy: PolicyExpression) -> None:
    again = eval(repr(policy), {"tt": tt})
    assert again == policy
    assert hash(again) == hash(policy)
    assert describe(again.spec) == describe(policy.spec)
