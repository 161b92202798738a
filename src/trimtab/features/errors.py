"""What can be wrong with a feature view, or with a question to it."""

from trimtab.kernel import Conflict, Invalid, NotFound, Refused


class NotKnownYet(Refused):
    """A column uses a value that becomes known only after the moment of decision."""

    code = "features.not-known-yet"
    default_why = (
        "At the moment of decision nobody knows this value, so a model that learnt from it could never be served."
    )


class LabelVisible(Refused):
    """The label is known when the decision is taken, so there is nothing to predict and everything to leak."""

    code = "features.label-visible"
    default_why = "A label must become known after the decision; otherwise any column could carry it."


class BeforeHorizon(Conflict):
    """An online read asks for a moment so early that the online store no longer holds what was known then."""

    code = "features.before-horizon"
    default_why = "The online store keeps what was known since {floor}; an answer for an earlier moment could be wrong."
    default_next = "ask for a later moment, or send the features themselves instead of what they are computed from"


class NotMaterialised(NotFound):
    """The online store holds nothing of this view, or another version of it."""

    code = "features.not-materialised"
    default_why = "Online rows are read from what materialise wrote for exactly this definition."
    default_next = "trimtab run {view}"


class UnknownRow(NotFound):
    """No row of the view's own contract has the key that was asked for."""

    code = "features.unknown-row"
    default_why = "The view's own rows are looked up by their key, as they were when the view was last materialised."
    default_next = "send the row's fields instead of its key, or bring the view up to date: trimtab run {view}"


class TableProblem(Invalid):
    """A table does not hold what its contract says, so features cannot be computed from it."""

    code = "features.table-problem"
