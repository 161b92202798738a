"""The page of an evaluation: what is better stands right, what is worst stands first."""

import re

import httpx
import msgspec
import pytest

from trimtab.evaluation import (
    Difference,
    EvidenceLine,
    Maturity,
    MetricValue,
    OutcomeDelay,
    SavedEvaluation,
    Verdict,
    get_evaluation,
)
from trimtab.registry import get_version
from trimtab.store import Store
from trimtab.ui.screens import evaluation as screen
from trimtab.ui.screens.evaluation import _difference, gate_lines, metric_lines


def _against(difference: float, better: str) -> Difference:
    value = MetricValue(value=difference, low=difference - 0.01, high=difference + 0.01, n=100)
    return Difference(champion=0.5, challenger=0.5 + difference, difference=value, better=better)


@pytest.mark.parametrize(
    ("metric", "difference", "right"),
    [("auc", 0.02, True), ("auc", -0.02, False), ("log_loss", 0.02, False), ("log_loss", -0.02, True)],
)
def test_the_right_side_of_the_middle_is_better(metric: str, difference: float, right: bool) -> None:
    drawn = _difference(metric, _against(difference, "challenger" if right else "champion"))
    assert drawn is not None
    assert float(drawn.mark) == 500
    assert (float(drawn.at) > 500) is right


def test_a_share_of_which_no_side_is_better_has_no_side() -> None:
    assert _difference("selection_rate", _against(0.1, "undecided")) is None


def test_a_threshold_lies_where_it_is_beside_the_value() -> None:
    line = EvidenceLine(text="", condition="", observed=0.7, low=0.6, high=0.8, threshold=0.65, passed=True)
    (drawn,) = gate_lines(Verdict(passed=True, lines=(line,), policy=""))
    assert drawn.whisker is not None
    assert float(drawn.whisker.low) < float(drawn.whisker.mark) < float(drawn.whisker.at)


def test_the_champion_is_told_for_what_both_were_measured_on(seeded_store: Store) -> None:
    version = get_version(seeded_store, "slow@2")
    assert version.evaluation_id is not None
    report = get_evaluation(seeded_store, version.evaluation_id).report
    assert report.comparison is not None
    lines = {line.name: line for line in metric_lines(report.evaluation, report.comparison)}
    assert set(lines) == set(report.evaluation.metrics)
    for name, difference in report.comparison.metrics.items():
        said = {"challenger": "better", "champion": "worse", "undecided": "undecided"}[difference.better]
        assert lines[name].word == ("" if name == "selection_rate" else said)


@pytest.mark.parametrize("metric", ["log_loss", "auc", "recall", "selection_rate"])
def test_the_worst_slice_stands_first(client: httpx.Client, seeded_store: Store, metric: str) -> None:
    version = get_version(seeded_store, "slow@2")
    assert version.evaluation_id is not None
    slices = get_evaluation(seeded_store, version.evaluation_id).report.evaluation.slices["depot"]
    values = {one.value: one.metrics[metric].value or 0.0 for one in slices}
    page = client.get(f"/ui/models/slow/2/evaluation?metric={metric}").text
    panel = page[page.index('id="by-depot"') :]
    first = re.search(r'<th scope="row">(\w+)</th>', panel)
    assert first is not None
    assert first[1] == (max if metric in ("log_loss", "selection_rate") else min)(values, key=values.__getitem__)
    said = {
        "log_loss": "the worst first, lower is better",
        "selection_rate": "the highest first, neither side is better",
    }
    assert said.get(metric, "the worst first, higher is better") in panel


def test_every_line_of_the_gate_is_told(client: httpx.Client, seeded_store: Store) -> None:
    version = get_version(seeded_store, "slow@2")
    assert version.evaluation_id is not None
    verdict = get_evaluation(seeded_store, version.evaluation_id).report.verdict
    assert verdict is not None
    page = client.get("/ui/models/slow/2/evaluation").text
    assert len(verdict.lines) == 2
    for line in verdict.lines:
        assert line.text.replace("'", "&#39;") in page


def test_labels_that_were_declared_final_too_soon_are_said(
    client: httpx.Client, seeded_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    too_soon = Maturity(
        after_s=86400.0, by="declared", uneven=0.5,
        outcomes=(OutcomeDelay(outcome="False", n=90, median_s=2e6, p99_s=30 * 86400.0),),
    )  # fmt: skip
    real = screen.saved_evaluation

    def saved_evaluation(store: Store, id: str | None) -> tuple[SavedEvaluation | None, str]:
        saved, trouble = real(store, id)
        assert saved is not None
        evaluation = msgspec.structs.replace(saved.report.evaluation, maturity=too_soon)
        report = msgspec.structs.replace(saved.report, evaluation=evaluation)
        return msgspec.structs.replace(saved, report=report), trouble

    assert "declared final too soon" not in client.get("/ui/models/slow/2/evaluation").text
    monkeypatch.setattr(screen, "saved_evaluation", saved_evaluation)
    assert too_soon.warning in client.get("/ui/models/slow/2/evaluation").text


def test_one_column_is_shown_alone_to_its_end(client: httpx.Client) -> None:
    page = client.get("/ui/models/slow/2/evaluation?by=depot&metric=auc").text
    assert 'id="by-depot"' in page
    assert "Fairness over depot" not in page
    assert "ROC" not in page
    assert '<a class="button" href="?metric=auc#slices">Whole evaluation</a>' in page
    assert "Fairness over depot" in client.get("/ui/models/slow/2/evaluation?by=luck").text


def test_every_metric_and_gap_stands_beside_its_rows(client: httpx.Client, seeded_store: Store) -> None:
    version = get_version(seeded_store, "slow@2")
    evaluation = get_evaluation(seeded_store, version.evaluation_id or "").report.evaluation
    page = client.get("/ui/models/slow/2/evaluation").text
    table = page[page.index('id="metrics"') :]
    rows = re.findall(r'<th scope="row">([^<]+)</th>.*?<td class="num wide-only">([^<]+)</td>', table, re.DOTALL)
    assert dict(rows) == {name.replace("_", " "): f"{one.n}" for name, one in evaluation.metrics.items()}
    gap = evaluation.fairness["depot"].recall_gap
    assert f"{' and '.join(gap.slices)}, {gap.value.n} rows" in page
