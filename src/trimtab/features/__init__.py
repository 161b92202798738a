"""Phase 2, features: one definition, read three ways.

In: a declared view and tables of facts, each with the time it happened and the time it became known. Out: training
frames, online rows and the proof that neither sees what was not known when the decision was taken. Offline and online
agree bit for bit; a plain-Python reference in the tests holds both to the same words.
"""

from trimtab.features.agree import compare_offline_online
from trimtab.features.api import OnlineAnswer, ViewList, routes
from trimtab.features.blindness import decided_text, label_columns, label_fields, prove_blind_to
from trimtab.features.compile import compile_view, digest_of_view
from trimtab.features.errors import (
    BeforeHorizon,
    LabelVisible,
    NotKnownYet,
    NotMaterialised,
    TableProblem,
    UnknownRow,
)
from trimtab.features.events import FeatureViewDescribed, FeatureViewMaterialised, FeatureViewRegistered
from trimtab.features.materialise import add_facts, fill, forget, materialise
from trimtab.features.online import OnlineStore, online_row, open_online, row_with_key
from trimtab.features.reading import field_value
from trimtab.features.records import (
    Agreement,
    CompiledView,
    Difference,
    FeatureColumn,
    Kind,
    Materialised,
    OnlineRow,
    Proof,
    RegisteredView,
    Scalar,
    View,
)
from trimtab.features.register import get_view, list_views, register_view
from trimtab.features.retention import needed_by_features
from trimtab.features.training import label_frame, training_frame

__all__ = [
    "Agreement",
    "BeforeHorizon",
    "CompiledView",
    "Difference",
    "FeatureColumn",
    "FeatureViewDescribed",
    "FeatureViewMaterialised",
    "FeatureViewRegistered",
    "Kind",
    "LabelVisible",
    "Materialised",
    "NotKnownYet",
    "NotMaterialised",
    "OnlineAnswer",
    "OnlineRow",
    "OnlineStore",
    "Proof",
    "RegisteredView",
    "Scalar",
    "TableProblem",
    "UnknownRow",
    "View",
    "ViewList",
    "add_facts",
    "compare_offline_online",
    "compile_view",
    "decided_text",
    "digest_of_view",
    "field_value",
    "fill",
    "forget",
    "get_view",
    "label_columns",
    "label_fields",
    "label_frame",
    "list_views",
    "materialise",
    "needed_by_features",
    "online_row",
    "open_online",
    "prove_blind_to",
    "register_view",
    "routes",
    "row_with_key",
    "training_frame",
]  # fmt: skip
