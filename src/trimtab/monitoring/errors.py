"""What can go wrong between a decision and what is said about it later."""

from trimtab.kernel import Conflict, Invalid, NotFound


class OutcomeRefused(Invalid):
    """An outcome is not what it must be: a finite number, known by now, of one decision or key."""

    code = "monitoring.outcome-refused"
    default_why = (
        "One wrong outcome would stand for a truth in every figure after it, so nothing of this call was kept."
    )
    default_next = "correct this outcome and send all of them again: what was kept before is not counted twice"


class OutcomeUnknown(NotFound):
    """An outcome is of a decision or key that the endpoint's decision log does not hold."""

    code = "monitoring.no-such-decision"
    default_why = "An outcome says what came of a decision, so nothing of this call was kept."
    default_next = "send the decision_ids that the endpoint answered with: trimtab get decisions {endpoint}"


class TooManyOutcomes(Invalid):
    """More outcomes in one call than are taken at once."""

    code = "monitoring.too-many-outcomes"
    default_next = "send them in parts of at most {most}"


class BadSpan(Invalid):
    """A span of time that is none."""

    code = "monitoring.bad-span"
    default_why = "What is measured lies in [since, until), two moments in UTC of which the first is the earlier."
    default_next = "write for example ?since=2013-03-01&until=2013-03-08"


class ReferenceMissing(NotFound):
    """A version has no reference to compare with."""

    code = "monitoring.reference-missing"
    default_why = "Drift is measured against what the version learnt from, and nothing of that was kept."
    default_next = "train it again: trimtab run {model}"


class AlertMissing(NotFound):
    """No alert has this id."""

    code = "monitoring.no-alert"
    default_why = "Alerts keep their ids for ever, open or resolved."
    default_next = "trimtab get alerts"


class AlertOver(Conflict):
    """The alert was resolved already."""

    code = "monitoring.alert-over"
    default_why = "It was resolved at {at}, so nobody has to act on it any more."
    default_next = "trimtab get alerts"
