"""Phase 6, serving: load what was released, route traffic to it, answer, and keep every decision.

In: checked releases, a routing, and requests. Out: predictions with an id each, and a decision log in which every
answered id can be found again with its features, their ages, its version and its reason. Nothing is loaded whose
bytes are not the released ones, and nothing is answered that is not in the log.
"""

from trimtab.serving.api import routes
from trimtab.serving.counting import Counts, counts_between
from trimtab.serving.decisions import (
    Segment,
    broken_decisions,
    decision_tables,
    decisions,
    find_decision,
    sealed_segments,
)
from trimtab.serving.errors import (
    DecisionUnknown,
    InputProblem,
    LoadRefused,
    LogDamaged,
    NoEndpoint,
    NotReady,
    NotRecorded,
    NotServable,
    OutputProblem,
    PredictionFailed,
    PromiseBroken,
    TooBusy,
)
from trimtab.serving.events import DecisionsSealed, RoutingChanged
from trimtab.serving.gateway import EndpointStatus, Gateway
from trimtab.serving.inputs import ROWS_LIMIT
from trimtab.serving.latency import measure_latency
from trimtab.serving.loader import LoadedModel, Loader
from trimtab.serving.log import DecisionLog
from trimtab.serving.records import Answer, Ask, Canary, Decision, Input, Output, Released, Routing, Stage
from trimtab.serving.registered import RegisteredReleases, inputs_of
from trimtab.serving.released import Releases
from trimtab.serving.router import Route, RoutingSnapshot, Target
from trimtab.serving.routing import Endpoint, get_endpoint, list_endpoints, remove_endpoint, set_routing
from trimtab.serving.runtimes import Rows, Runtime
from trimtab.serving.shadow import WAITING, Mirrored
from trimtab.serving.statistics import Figures
from trimtab.serving.unread import LoggedRows, Mark, Marks, Unread, read_unread

__all__ = [
    "ROWS_LIMIT", "WAITING", "Answer", "Ask", "Canary", "Counts", "Decision", "DecisionLog", "DecisionUnknown",
    "DecisionsSealed", "Endpoint", "EndpointStatus", "Figures", "Gateway", "Input", "InputProblem", "LoadRefused",
    "LoadedModel", "Loader", "LogDamaged", "LoggedRows", "Mark", "Marks", "Mirrored", "NoEndpoint", "NotReady",
    "NotRecorded", "NotServable", "Output", "OutputProblem", "PredictionFailed", "PromiseBroken", "RegisteredReleases",
    "Released", "Releases", "Route", "Routing", "RoutingChanged", "RoutingSnapshot", "Rows", "Runtime", "Segment",
    "Stage", "Target", "TooBusy", "Unread", "broken_decisions", "counts_between", "decision_tables", "decisions",
    "find_decision", "get_endpoint", "inputs_of", "list_endpoints", "measure_latency", "read_unread",
    "remove_endpoint", "routes", "sealed_segments", "set_routing",
]  # fmt: skip
