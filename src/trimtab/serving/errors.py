"""What can go wrong between a release and an answer."""

from collections.abc import Sequence

from trimtab.kernel import Invalid, NotFound, Refused, Unavailable


class LoadRefused(Refused):
    """A model's bytes are not loaded: they are not what was released, or they hold what must not run here."""

    code = "serving.load-refused"
    default_next = "trimtab verify, then restore what was changed from a backup, or approve another version"


class NotServable(Refused):
    """A version cannot take traffic: it has no valid release, or it does not fit the endpoint."""

    code = "serving.not-servable"
    default_why = "Only a version with a checked release takes traffic."
    default_next = "trimtab approve {version} --because '...'"


class NoEndpoint(NotFound):
    """No endpoint of this name is routed."""

    code = "serving.no-endpoint"
    default_why = "An endpoint answers once a version is routed to it."
    default_next = "trimtab get endpoints"


class NotReady(Unavailable):
    """The endpoint is routed, but no version of it could be loaded."""

    code = "serving.not-ready"
    default_next = "trimtab status"


class StillLoading(NotReady):
    """The endpoint is, or may be, about to be served."""

    code = "serving.loading"
    default_why = "This process has just begun to serve it."
    default_next = "ask again in a moment, or wait for /readyz"


class TooLongToLoad(NotReady):
    """The versions of an endpoint are not in memory and tried after the time that this may take."""

    code = "serving.too-long-to-load"
    default_why = "It goes on beside the others, and is taken up if it ends; until then nothing new is served here."
    default_next = "look at the size of the model and the speed of the blob store, or route another version"


class TooBusy(Unavailable):
    """More rows are waiting than this process will get to in reasonable time."""

    code = "serving.too-busy"
    default_why = "Waiting longer would only make every answer late."
    default_next = "send the request again a little later, or start another gateway"


class DeadlinePassed(Unavailable):
    """The model did not answer in the time that a request may take. No decision was made."""

    code = "serving.deadline-passed"
    default_why = "Whoever asks should not wait longer, and nobody else should wait for this request."
    default_next = "send fewer rows, or allow more time with the setting deadline_s; trimtab logs server says more"


class ModelStuck(Unavailable):
    """Calls of this version do not end, so it is asked nothing more until they do."""

    code = "serving.stuck"
    default_why = "Each such call holds a thread, and nothing but its own end or that of the process frees it."
    default_next = "restart the server, which ends them, or serve another version: trimtab get versions"


class NotRecorded(Unavailable):
    """The decision could not be written to the decision log, so it is not given either."""

    code = "serving.not-recorded"
    default_why = "A decision that nobody can look up later must not be acted on."
    default_next = "make room on the disk that holds the server's home, then send the request again"


class InputProblem(Invalid):
    """The request's columns are not what the model takes."""

    code = "serving.input"


class PromiseBroken(InputProblem):
    """A value of the request breaks what the contract promises of its column."""

    code = "serving.promise-broken"
    default_why = "The model learnt from rows that keep the contract, so nobody knows what it answers to others."
    default_next = (
        "correct {column}; or let such rows be answered and flagged, with serve(..., broken_rows='flag') in the file"
    )


class OutputProblem(Invalid):
    """The request asks for an output that the model does not have."""

    code = "serving.output"


class PredictionFailed(Invalid):
    """The model raised an error on these rows."""

    code = "serving.prediction-failed"
    default_next = "check the values sent against the ranges that the contract promises"


class DecisionUnknown(NotFound):
    """No decision with this id is in the log."""

    code = "serving.no-decision"
    default_why = "Neither the open nor the sealed segments of the decision log hold it."
    default_next = "trimtab get decisions"


class DecisionRemoved(NotFound):
    """A decision was removed, as decisions of its age are; ``data["segment"]`` is the one that held it."""

    code = "serving.decision-removed"
    default_next = "trimtab get events --type store.removed --subject segment:{segment}; a backup from then has it"


class DecisionElsewhere(Unavailable):
    """A decision may lie unsealed on another machine, which does not answer."""

    code = "serving.decision-elsewhere"
    default_why = (
        "A server keeps its newest decisions in its own home until it seals them, and this one does not answer."
    )
    default_next = "ask again when it runs: at its next start 'trimtab up' seals what it left on {host}"


def elsewhere(what: str, hosts: Sequence[str]) -> DecisionElsewhere:
    """Return the error that says which machines may hold something."""
    named = " or ".join(hosts)
    return DecisionElsewhere(f"{what} may lie on {named}, not sealed yet", where="decision log", host=named)


class LogDamaged(Invalid):
    """A sealed segment cannot be read as decisions."""

    code = "serving.log-damaged"
    default_next = "trimtab verify"
