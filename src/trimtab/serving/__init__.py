"""Phase 6, serving: load what was released, route traffic to it, answer, and keep every decision.

In: checked releases, a routing, and requests. Out: predictions with an id each, and a decision log in which every
answered id can be found again with its features, their ages, its version and its reason. Nothing is loaded whose
bytes are not the released ones, and nothing is answered that is not in the log.
"""

from trimtab.serving.api import DecisionPage, EndpointAnswer, EndpointPage, routes
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
    DeadlinePassed,
    DecisionElsewhere,
    DecisionRemoved,
    DecisionUnknown,
    InputProblem,
    LoadRefused,
    LogDamaged,
    ModelStuck,
    NoEndpoint,
    NotReady,
    NotRecorded,
    NotServable,
    OutputProblem,
    PredictionFailed,
    PromiseBroken,
    TooBusy,
    TooLongToLoad,
    elsewhere,
)
from trimtab.serving.events import DecisionsSealed, RoutingChanged
from trimtab.serving.gateway import EndpointStatus, Gateway
from trimtab.serving.homes import seal_elsewhere
from trimtab.serving.inputs import ROWS_LIMIT
from trimtab.serving.latency import measure_latency
from trimtab.serving.loader import LoadedModel, Loader
from trimtab.serving.log import DecisionLog, unsealed_bytes
from trimtab.serving.records import (
    Answer,
    Ask,
    Canary,
    Decision,
    Input,
    Output,
    Released,
    Routing,
    ServingLimits,
    Stage,
)
from trimtab.serving.registered import RegisteredReleases, inputs_of
from trimtab.serving.released import Releases
from trimtab.serving.retention import models_at, remove_segments, removed_segments, segments_before
from trimtab.serving.router import Route, RoutingSnapshot, Target
from trimtab.serving.routing import (
    Endpoint,
    check_route,
    endpoint_names,
    get_endpoint,
    list_endpoints,
    remove_endpoint,
    routed,
    set_routing,
)
from trimtab.serving.runtimes import Rows, Runtime
from trimtab.serving.shadow import WAITING, Mirrored
from trimtab.serving.statistics import Figures
from trimtab.serving.trial import OnTrial, check_servable
from trimtab.serving.unread import LoggedRows, Mark, Marks, Unread, read_unread

__all__ = [
    "ROWS_LIMIT", "WAITING", "Answer", "Ask", "Canary", "Counts", "DeadlinePassed", "Decision", "DecisionElsewhere",
    "DecisionLog", "DecisionPage", "DecisionRemoved", "DecisionUnknown", "DecisionsSealed", "Endpoint",
    "EndpointAnswer", "EndpointPage", "EndpointStatus", "Figures", "Gateway", "Input", "InputProblem",
    "LoadRefused", "LoadedModel", "Loader", "LogDamaged", "LoggedRows", "Mark", "Marks", "Mirrored", "ModelStuck",
    "NoEndpoint", "NotReady", "NotRecorded", "NotServable", "OnTrial", "Output", "OutputProblem",
    "PredictionFailed", "PromiseBroken", "RegisteredReleases", "Released", "Releases", "Route", "Routing",
    "RoutingChanged", "RoutingSnapshot", "Rows", "Runtime", "Segment", "ServingLimits", "Stage", "Target",
    "TooBusy", "TooLongToLoad", "Unread", "broken_decisions", "check_route", "check_servable", "counts_between",
    "decision_tables", "decisions", "elsewhere", "endpoint_names", "find_decision", "get_endpoint",
    "inputs_of", "list_endpoints",
    "measure_latency", "models_at", "read_unread", "remove_endpoint", "remove_segments", "removed_segments",
    "routed", "routes", "seal_elsewhere", "sealed_segments", "segments_before", "set_routing", "unsealed_bytes",
]  # fmt: skip
