"""The words for what is measured: ``tt.auc``, ``tt.latency.p99``, ``tt.drift.of_prediction``, ``tt.champion.auc``."""

from typing import TYPE_CHECKING, Literal, NoReturn

from trimtab.declare.mistakes import BadPolicy, UnknownWord
from trimtab.declare.places import here
from trimtab.declare.quantities import Measure, Quantity, sliced
from trimtab.declare.records import AtApproval, Metric
from trimtab.declare.spelling import closest

Whose = Literal["self", "champion", "at_approval"]


class _Words:
    """A group of metrics under one word; a name that is not among them gets an error that lists them."""

    _word: str

    if not TYPE_CHECKING:  # A type checker reports these by itself.

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("_"):
                raise AttributeError(name)
            words = self._metrics()
            raise UnknownWord(
                f"{self._word} has no metric {name!r}",
                where=here(),
                why=f"Its metrics are {', '.join(words)}.",
                next=closest(name, words).replace("write ", f"write {self._word}.") or "use one of these",
            )

        def _refuse_comparison(self, other: object) -> NoReturn:
            words = self._metrics()
            raise BadPolicy(
                f"{self._word} is compared with {other!r}",
                where=here(),
                why=f"It is a group of metrics: {', '.join(words)}.",
                next=f"name one of them, for example {self._word}.{'log_loss' if 'log_loss' in words else words[-1]}",
            )

        __lt__ = __le__ = __gt__ = __ge__ = __mul__ = __rmul__ = _refuse_comparison

        def _metrics(self) -> list[str]:
            words = {*vars(self), *dir(type(self))} - _NOT_METRICS
            return sorted(word for word in words if not word.startswith("_"))

    def __repr__(self) -> str:
        return self._word


class Latency(_Words):
    """Time to answer one request, by quantile; compared with durations: ``tt.latency.p99 <= "20ms"``."""

    def __init__(self, whose: Whose, word: str) -> None:
        self._word = word
        self.p50 = Measure(Metric(name="latency.p50", of=whose))
        self.p95 = Measure(Metric(name="latency.p95", of=whose))
        self.p99 = Measure(Metric(name="latency.p99", of=whose))


class Drift(_Words):
    """How far what is served has moved from what was learnt (population stability index)."""

    _word = "tt.drift"

    def __init__(self) -> None:
        self.of_prediction = Measure(Metric(name="drift.of_prediction"))

    def of(self, feature: str) -> Measure:
        """Drift of one feature column, by its name in the view: ``tt.drift.of("weather_temp")``."""
        if not isinstance(feature, str) or not feature:
            raise BadPolicy(
                f"drift.of({feature!r}) does not name a column",
                where=here(),
                why="Columns are named as in the view's training frame.",
                next='write for example tt.drift.of("weather_temp")',
            )
        return Measure(Metric(name="drift.of", feature=feature))


class Metrics(_Words):
    """Each metric of a model, as one's own, the champion's, or the value at approval."""

    def __init__(self, whose: Whose, word: str) -> None:
        self._word = word
        self._whose = whose
        self.accuracy = Measure(Metric(name="accuracy", of=whose))
        self.auc = Measure(Metric(name="auc", of=whose))
        self.brier = Measure(Metric(name="brier", of=whose))
        self.calibration_error = Measure(Metric(name="calibration_error", of=whose))
        self.errors = Measure(Metric(name="errors", of=whose))
        self.f1 = Measure(Metric(name="f1", of=whose))
        self.false_positive_rate = Measure(Metric(name="false_positive_rate", of=whose))
        self.latency = Latency(whose, f"{word}.latency")
        self.log_loss = Measure(Metric(name="log_loss", of=whose))
        self.mae = Measure(Metric(name="mae", of=whose))
        self.pinball = Measure(Metric(name="pinball", of=whose))
        self.pr_auc = Measure(Metric(name="pr_auc", of=whose))
        self.precision = Measure(Metric(name="precision", of=whose))
        self.r2 = Measure(Metric(name="r2", of=whose))
        self.recall = Measure(Metric(name="recall", of=whose))
        self.rmse = Measure(Metric(name="rmse", of=whose))
        self.selection_rate = Measure(Metric(name="selection_rate", of=whose))
        self.true_positive_rate = Measure(Metric(name="true_positive_rate", of=whose))

    def equalised_odds(self, *, by: str, at_least: int = 0) -> Measure:
        """The larger of the gaps of the true and the false positive rate over the slices of ``by``."""
        parts = sliced(by, at_least)
        return Measure(
            Metric(
                name="equalised_odds", of=self._whose, over_slices="gap", slice_by=by, at_least=int(parts["at_least"])
            )
        )


class _ApprovalValue(Quantity, Metrics):
    """``tt.at_approval``: the value, at approval, of the metric that it is compared with."""

    def __init__(self) -> None:
        Metrics.__init__(self, "at_approval", "tt.at_approval")
        Quantity.__init__(self, AtApproval())

    __repr__ = Quantity.__repr__
    if not TYPE_CHECKING:
        __getattr__ = _Words.__getattr__


_NOT_METRICS = set(dir(Quantity)) | {"spec", "where"}

own = Metrics("self", "tt")
champion = Metrics("champion", "tt.champion")
"""The model in service, on the same rows."""
at_approval = _ApprovalValue()
"""What the metric on the other side was when the version was approved."""
drift = Drift()
errors = own.errors
"""Share of requests that failed."""
new_rows = Measure(Metric(name="new_rows"))
"""Rows of the view's own contract in its source's newest snapshot, beyond those of the snapshot that was trained on."""
latency = own.latency
accuracy = own.accuracy
auc = own.auc
brier = own.brier
calibration_error = own.calibration_error
equalised_odds = own.equalised_odds
f1 = own.f1
false_positive_rate = own.false_positive_rate
log_loss = own.log_loss
mae = own.mae
pinball = own.pinball
pr_auc = own.pr_auc
precision = own.precision
r2 = own.r2
recall = own.recall
rmse = own.rmse
selection_rate = own.selection_rate
true_positive_rate = own.true_positive_rate
