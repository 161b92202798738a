"""The language: a user's file as frozen values and readable expressions, with no I/O but reading that file.

In: classes, functions and expressions, as in examples/flights.py. Out: ``ProjectSpec`` and its parts, which the other
rooms read, their digests, their texts for people, and errors that name the user's file and line.
"""

from trimtab.declare.aloud import describe
from trimtab.declare.asking import Answers, bind
from trimtab.declare.columns import CategoryColumn, FieldColumn, LatestColumns, Moment, NumberColumn, TimeColumn
from trimtab.declare.conditions import Policy as PolicyExpression
from trimtab.declare.conditions import all_of, any_of, every
from trimtab.declare.contracts import Contract, contract_of
from trimtab.declare.durations import Duration, days, duration_text, hours, minutes, parse_duration
from trimtab.declare.expressions import Column as ColumnExpression
from trimtab.declare.expressions import column
from trimtab.declare.fields import Bool, Category, EventTime, Float, Int, Key, Text, Time
from trimtab.declare.identity import declaration_digest
from trimtab.declare.judging import retraining_policy
from trimtab.declare.metrics import (
    accuracy,
    at_approval,
    auc,
    brier,
    calibration_error,
    champion,
    drift,
    equalised_odds,
    errors,
    f1,
    false_positive_rate,
    latency,
    log_loss,
    mae,
    new_rows,
    pinball,
    pr_auc,
    precision,
    r2,
    recall,
    rmse,
    selection_rate,
    true_positive_rate,
)  # fmt: skip
from trimtab.declare.mistakes import (
    BadColumn,
    BadContract,
    BadDuration,
    BadModel,
    BadPolicy,
    BadProject,
    BadPromise,
    BadRollout,
    BadSource,
    BadText,
    BadView,
    NotYesOrNo,
    ProjectNotFound,
    UnknownField,
    UnknownWord,
)  # fmt: skip
from trimtab.declare.models import Approver, Model, by, model
from trimtab.declare.names import RESERVED, column_names
from trimtab.declare.places import here
from trimtab.declare.project import Project, load_project
from trimtab.declare.promises import between, known_at, missing, one_of
from trimtab.declare.quantities import Quantity
from trimtab.declare.records import (
    AllOf,
    AnyOf,
    Arithmetic,
    AtApproval,
    Column,
    Comparison,
    Condition,
    Constant,
    ContractSpec,
    Derived,
    Every,
    FeatureViewSpec,
    Field,
    FieldKind,
    FieldSpec,
    Label,
    Latest,
    Metric,
    ModelSpec,
    Operand,
    Policy,
    ProjectSpec,
    RetrainingSpec,
    Rolling,
    Scaled,
    ServingSpec,
    SourceSpec,
    Span,
    Spec,
    Stage,
    Threshold,
    TimePart,
)  # fmt: skip
from trimtab.declare.render import number_text, show, show_policy, show_rollout
from trimtab.declare.rollouts import Rollout, canary, full, shadow
from trimtab.declare.sources import Source, source
from trimtab.declare.spelling import closest
from trimtab.declare.views import FeatureView, features

__all__ = [
    "RESERVED", "AllOf", "Answers", "AnyOf", "Approver", "Arithmetic", "AtApproval", "BadColumn", "BadContract",
    "BadDuration", "BadModel", "BadPolicy", "BadProject", "BadPromise", "BadRollout", "BadSource", "BadText", "BadView",
    "Bool", "Category", "CategoryColumn", "Column", "ColumnExpression", "Comparison", "Condition", "Constant",
    "Contract", "ContractSpec", "Derived", "Duration", "EventTime", "Every", "FeatureView", "FeatureViewSpec", "Field",
    "FieldColumn", "FieldKind", "FieldSpec", "Float", "Int", "Key", "Label", "Latest", "LatestColumns", "Metric",
    "Model", "ModelSpec", "Moment", "NotYesOrNo", "NumberColumn", "Operand", "Policy", "PolicyExpression", "Project",
    "ProjectNotFound", "ProjectSpec", "Quantity", "RetrainingSpec", "Rolling", "Rollout", "Scaled", "ServingSpec",
    "Source", "SourceSpec", "Span", "Spec", "Stage", "Text", "Threshold", "Time", "TimeColumn", "TimePart",
    "UnknownField", "UnknownWord", "accuracy", "all_of", "any_of", "at_approval", "auc", "between", "bind", "brier",
    "by", "calibration_error", "canary", "champion", "closest", "column", "column_names", "contract_of", "days",
    "declaration_digest", "describe", "drift", "duration_text", "equalised_odds", "errors", "every", "f1",
    "false_positive_rate", "features", "full", "here", "hours", "known_at", "latency", "load_project", "log_loss",
    "mae", "minutes", "missing", "model", "new_rows", "number_text", "one_of", "parse_duration", "pinball", "pr_auc",
    "precision", "r2", "recall", "retraining_policy", "rmse", "selection_rate", "shadow", "show", "show_policy",
    "show_rollout", "source", "true_positive_rate",
]  # fmt: skip
