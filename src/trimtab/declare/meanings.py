"""What is known about each metric before anything is measured: its unit, its range, the models it is defined for."""

from typing import Literal

import msgspec

Unit = Literal["share", "number", "seconds"]
Task = Literal["classification", "regression"]


class Meaning(msgspec.Struct, frozen=True):
    """What is known about a metric before anything is measured."""

    unit: Unit
    task: Task | None = None
    """The models that it is defined for; None for all."""
    words: str = ""
    """How it is read aloud."""
    least: float = 0.0
    greatest: float = float("inf")
    sliced: bool = False
    """Whether it can be measured on each slice of the held-out rows."""
    at_test: bool = True
    """Whether it exists before a model serves, so that acceptance can use it."""


def _share(words: str = "") -> Meaning:
    return Meaning("share", "classification", words, greatest=1.0, sliced=True)


def _error(words: str = "", *, least: float = 0.0, greatest: float = float("inf")) -> Meaning:
    return Meaning("number", "regression", words, least=least, greatest=greatest, sliced=True)


MEANINGS: dict[str, Meaning] = {
    "accuracy": _share(),
    "auc": _share(),
    "brier": Meaning("number", "classification", "Brier score", greatest=1.0, sliced=True),
    "calibration_error": _share("calibration error"),
    "drift.of": Meaning("number", None, "drift", at_test=False),
    "drift.of_prediction": Meaning("number", None, "prediction drift", at_test=False),
    "equalised_odds": _share("equalised odds"),
    "errors": Meaning("share", None, "share of failed requests", greatest=1.0, at_test=False),
    "f1": _share("F1"),
    "false_positive_rate": _share("false positive rate"),
    "latency.p50": Meaning("seconds", None, "latency p50"),
    "latency.p95": Meaning("seconds", None, "latency p95"),
    "latency.p99": Meaning("seconds", None, "latency p99"),
    "log_loss": Meaning("number", "classification", "log loss", sliced=True),
    "mae": _error("mean absolute error"),
    "new_rows": Meaning("number", None, "new rows", at_test=False),
    "pinball": _error("pinball loss"),
    "pr_auc": _share("PR AUC"),
    "precision": _share(),
    "r2": _error("R2", least=float("-inf"), greatest=1.0),
    "recall": _share(),
    "rmse": _error("RMSE"),
    "selection_rate": _share("selection rate"),
    "true_positive_rate": _share("true positive rate"),
}


def words_for(name: str) -> str:
    """Return how a metric is read aloud."""
    return MEANINGS[name].words or name
