"""What can be found: how much worse a challenger must be to be rolled back in time, how small a drift is shown, and how
large a rise of the loss.
"""

from collections.abc import Collection
from datetime import datetime

from trimtab.declare import Condition, Metric, Scaled, ServingSpec
from trimtab.evaluation import DAY_S, QUARTER_S, Comparison, get_evaluation
from trimtab.kernel import NotFound
from trimtab.loop.conditions import conditions_of
from trimtab.loop.measures import LEAST_LABELLED
from trimtab.loop.rollout import CONFIRM_S
from trimtab.monitoring import (
    FOUND,
    Reference,
    drift_power,
    get_reference,
    level_power,
    paired_power,
    usual_volume,
)
from trimtab.registry import Version, list_versions
from trimtab.store import Store

COMPARED = ("log_loss", "rmse")
VERSIONS_LOOKED_AT = 50


def power_text(store: Store, model: str, serving: ServingSpec) -> str:
    """Say what a rollout finds with a probability of .8; empty without a rule that compares losses.

    How blocks of six hours differ is known from the newest version that was compared with a champion on its test span.
    """
    rule = serving.roll_back_if
    conditions = [one for one in conditions_of(rule) if _is_compared(one)] if rule is not None else []
    if not conditions:
        return ""
    length_s = sum(stage.hold_s for stage in serving.rollout) + CONFIRM_S
    known = _newest_comparison(store, model)
    if known is None or known.blocks is None or not len(known.blocks):
        return "how small a difference it finds is known once a version was compared with a champion"
    scale, threshold = _scale(known), max(_threshold(one) for one in conditions)
    if not scale:
        return "neither model has any loss on the test span, so there is no difference to find"
    power = paired_power(known.blocks, scale=scale, blocks=int(length_s // QUARTER_S), threshold=threshold)
    within = f"within this rollout ({length_s / DAY_S:.3g} days, {power.rows_a_day:.0f} labelled rows a day)"
    labelled = power.rows_a_day * length_s / DAY_S
    if labelled < LEAST_LABELLED:
        return f"{within} nothing is found: that is {labelled:.0f} rows, and at least {LEAST_LABELLED} are judged"
    shaken = (
        f"blocks of 6 hours differ by {_percent(power.spread)} of the loss, autocorrelation {power.autocorrelation:.1f}"
    )
    if power.found is None:
        return f"{within} not even a challenger twice as bad is found with {_percent(FOUND)} ({shaken})"
    worse = f"a challenger worse by {_percent(power.found)} is found with {_percent(FOUND)}"
    return f"{within} {worse}, a smaller difference less often ({shaken})"


def drift_power_text(store: Store, model: str, columns: Collection[str], *, at: datetime) -> str:
    """Say what drift a day of decisions can show, at the traffic of a usual day before ``at``.

    What is usual is known from the newest version's reference; ``columns`` are those that are declared now.
    """
    number, reference = _newest_reference(store, model)
    if reference is None:
        return "how small a drift or rise of the loss it finds is known once a version was trained: approve says it"
    served = usual_volume(store, model, day=at.replace(hour=0, minute=0, second=0, microsecond=0))
    day = "as many as on a usual day" if served else "as many as on a usual day of its reference"
    changed = set(columns) != {cells.name for cells in reference.columns}
    again = " Its columns were others: trimtab approve says it again." if changed else ""
    power = drift_power(reference, rows=served or None)
    return f"drift, by what {model}@{number} was made on ({day}): {power.text}{again}"


def level_power_text(store: Store, model: str, *, at: datetime) -> str:
    """Say how large a rise of the loss the newest version's monitor finds; empty before any version was evaluated."""
    version = _newest_evaluated(store, model)
    if version is None:
        return ""
    power = level_power(store, model, version=version.number, at=at, model=model)
    return f"the loss, by the test span of {version.ref}: {power.text}"


def _newest_evaluated(store: Store, model: str) -> Version | None:
    try:
        versions = list_versions(store, model, limit=VERSIONS_LOOKED_AT).items
    except NotFound:
        return None
    return next((one for one in versions if one.evaluation_id is not None), None)


def _newest_reference(store: Store, model: str) -> tuple[int, Reference | None]:
    try:
        numbers = [one.number for one in list_versions(store, model, limit=VERSIONS_LOOKED_AT).items]
    except NotFound:
        return 0, None
    kept = ((number, get_reference(store, model, number)) for number in numbers)
    return next((one for one in kept if one[1] is not None), (0, None))


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _is_compared(condition: Condition) -> bool:
    """Return whether a condition compares the losses of both versions on the same rows."""
    sides = [side.metric if isinstance(side, Scaled) else side for side in (condition.left, condition.right)]
    metrics = [side for side in sides if isinstance(side, Metric)]
    return len(metrics) == 2 and all(one.name in COMPARED and one.slice_by is None for one in metrics)


def _threshold(condition: Condition) -> float:
    """Return by which share of the champion's loss the challenger must be worse before the rule asks for evidence."""
    factor = condition.right.factor if isinstance(condition.right, Scaled) else 1.0
    name = condition.left.name if isinstance(condition.left, Metric) else ""
    return max(0.0, factor ** (2 if name == "rmse" else 1) - 1.0)


def _newest_comparison(store: Store, model: str) -> Comparison | None:
    try:
        versions = list_versions(store, model, limit=VERSIONS_LOOKED_AT).items
        evaluations = [one.evaluation_id for one in versions if one.evaluation_id is not None]
        reports = (get_evaluation(store, id_).report.comparison for id_ in evaluations)
        return next((one for one in reports if one is not None and one.blocks is not None), None)
    except NotFound:
        return None


def _scale(comparison: Comparison) -> float:
    """Return the size of the loss: log loss, or squared error."""
    name, power = ("log_loss", 1) if comparison.task == "classification" else ("rmse", 2)
    both = (comparison.metrics[name].champion, comparison.metrics[name].challenger)
    known = [one**power for one in both if one is not None]
    return sum(known) / len(known) if known else 0.0
