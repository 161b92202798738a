"""What can go wrong with runs.

NotFound
  RunMissing            there is no such run
  ArtifactMissing       there is no such artifact
  ExperimentMissing     there is no experiment of this name
Conflict
  RunNotRunning         the run has ended, and its record is sealed
  ParamChanged          a parameter was logged before with another value
Invalid
  BadName               a key or name that cannot be kept
  FilterProblem         a search expression that cannot be read; says at which character
  NotPackable           a model that could be stored, but never safely loaded
"""

from trimtab.kernel import Conflict, Invalid, NotFound


class RunMissing(NotFound):
    code = "tracking.run-missing"
    default_why = "It was never started in this store."
    default_next = "trimtab get runs"


class ArtifactMissing(NotFound):
    code = "tracking.artifact-missing"
    default_why = "Nothing was logged under this name or id."
    default_next = "look at the run's artifacts: trimtab get runs {run} -o json"


class ExperimentMissing(NotFound):
    code = "tracking.experiment-missing"
    default_why = "An experiment begins with its first run, and none has this name."
    default_next = "trimtab get experiments"


class RunNotRunning(Conflict):
    code = "tracking.run-not-running"
    default_why = "Its metrics, parameters and artifacts were sealed when it ended."
    default_next = "start a new run, or continue this one: trimtab.tracking.resume_run(store, {run!r}, actor=...)"


class ParamChanged(Conflict):
    code = "tracking.param-changed"
    default_why = "A parameter says how a run was made, so it has one value."
    default_next = "log it under another name, as a metric, or as a tag"


class BadName(Invalid):
    code = "tracking.bad-name"


class FilterProblem(Invalid):
    code = "tracking.filter"
    default_why = "A filter compares metrics.x, params.y, tags.z or a run's own attributes, joined by AND, OR and NOT."
    default_next = "write for example: metrics.auc > 0.7 AND (params.trees = 120 OR NOT tags.team LIKE 'ops%')"


class NotPackable(Invalid):
    """``data["returned"]`` is what to do next when the model came from a train function, and nobody logged it."""

    code = "tracking.not-packable"


class Unsound(Exception):
    """What makes a model unfit to run, in half a sentence. Whoever catches it says whose model it is."""
