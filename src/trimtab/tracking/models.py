"""Pack a trained model into bytes that can be loaded without running code from them.

scikit-learn estimators become ONNX where skl2onnx converts them and the graph predicts the same on the sample; else
skops bytes, whose types all stand on the list of ``trimtab.tracking.allowed``, and which are read back and compared
before they are kept. ONNX models are taken as they are. Never a pickle.
"""

import importlib.metadata
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa

from trimtab.data import Profile, content_digest, profile_table, to_parquet
from trimtab.kernel import MissingExtra, digest_of_bytes
from trimtab.tracking.allowed import is_allowed_type
from trimtab.tracking.bounds import check_bounds
from trimtab.tracking.convert import NotConvertible, to_onnx
from trimtab.tracking.errors import NotPackable, Unsound
from trimtab.tracking.frames import Given, read_sample
from trimtab.tracking.graphs import check_graph
from trimtab.tracking.records import OutputSpec, Signature
from trimtab.tracking.repeatable import repeatable

SAMPLE_ROWS = 20
COMPARED_ROWS = 2_000


class PackedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model as bytes, and what is known about it.

    ``sample`` is the first rows as Parquet; ``profile`` and ``sample_digest`` are of all rows. ``kind`` is the model's
    class, ``why`` says why it has this format.
    """

    format: Literal["onnx", "skops"]
    data: bytes
    signature: Signature
    sample: bytes
    sample_digest: str
    profile: Profile
    packages: Mapping[str, str]
    kind: str
    why: str

    @property
    def digest(self) -> str:
        return digest_of_bytes(self.data)


def pack_model(model: Any, sample: Any) -> PackedModel:
    """Return a model as safe bytes with its signature. ``sample`` is the frame or matrix that it was trained on.

    Raises ``NotPackable`` for a model that holds types which may not be loaded, that is not trained, that decides by a
    threshold of its own, or that does not predict the same after it was read back; ``MissingExtra`` when a package is
    missing.
    """
    given = read_sample(sample)
    if hasattr(model, "SerializeToString") and hasattr(model, "graph"):
        return _pack_graph(model, given)
    _require_estimator(model)
    rows = _spread(given.table.num_rows)
    table = given.table.take(rows)
    _require_one_label(model, _take(sample, rows[:2]))
    _require_likeliest_class(model)
    expected = _predictions(model, _take(sample, rows))
    signature = _signature(model, given, expected)
    try:
        format_: Literal["onnx", "skops"] = "onnx"
        data = to_onnx(model, signature, table, expected)
        why = "skl2onnx converts it, and the graph predicts the same"
    except NotConvertible as reason:
        format_, data = "skops", _to_skops(model, _take(sample, rows), expected)
        why = f"not ONNX: {reason}"
    used = ("scikit-learn", "numpy", *(("skops",) if format_ == "skops" else ("onnx", "skl2onnx")))
    return _packed(format_, data, signature, given, model=model, packages=_versions(used), why=why)


def _packed(
    format_: Literal["onnx", "skops"], data: bytes, signature: Signature, given: Given, *, model: Any,
    packages: Mapping[str, str], why: str,
) -> PackedModel:  # fmt: skip
    return PackedModel(
        format=format_,
        data=data,
        signature=signature,
        sample=to_parquet(given.table.slice(0, SAMPLE_ROWS)),
        sample_digest=content_digest(given.table),
        profile=profile_table(given.table, {spec.name: spec.kind for spec in signature.inputs}),
        packages=packages,
        kind=f"{type(model).__module__}.{type(model).__qualname__}",
        why=why,
    )


def _require_estimator(model: Any) -> None:
    try:
        from sklearn.base import BaseEstimator
        from sklearn.exceptions import NotFittedError
        from sklearn.utils.validation import check_is_fitted
    except ImportError:
        raise MissingExtra(
            "a scikit-learn model cannot be packed", where="log_model", package="scikit-learn", extra="sklearn"
        ) from None
    if not isinstance(model, BaseEstimator) or not hasattr(model, "fit"):
        raise NotPackable(
            f"{_spoken(model)} cannot be packed",
            where="log_model",
            why="Trimtab keeps scikit-learn estimators and ONNX models: formats that run no code when they are read.",
            next="log a trained scikit-learn estimator, or convert the model to ONNX and log that",
            returned="return a trained scikit-learn estimator or pipeline, or an ONNX model",
        )
    try:
        check_is_fitted(model)
    except NotFittedError:
        raise NotPackable(
            f"the {type(model).__name__} is not trained",
            where="log_model",
            why="Only a trained model can predict.",
            next="call fit before log_model",
            returned="call fit before you return it",
        ) from None


def _require_one_label(model: Any, sample: Any) -> None:
    from sklearn.base import is_classifier

    # Not told by classes_: a list of classes for each label for some estimators, plain for others.
    if is_classifier(model) and hasattr(model, "predict") and np.ndim(_answer(model, model.predict, sample)) > 1:
        raise NotPackable(
            f"the {type(model).__name__} answers several labels for one row",
            where="log_model",
            why="A served classifier answers one label, with a probability for each of its classes.",
            next="train and log one classifier for each label",
            returned="return a classifier of one label",
        )


def _require_likeliest_class(model: Any) -> None:
    """Refuse a classifier with a threshold of its own: it would be judged and served by another."""
    from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV

    last = model
    # Asked for None, not for truth: an ensemble has a length.
    while (inner := getattr(last, "best_estimator_", getattr(last, "_final_estimator", None))) is not None:
        last = inner
    if isinstance(last, FixedThresholdClassifier | TunedThresholdClassifierCV):
        raise NotPackable(
            f"the {type(last).__name__} has a threshold of its own",
            where="log_model",
            why="A served classifier answers its probabilities and the likeliest class, and is judged by that.",
            next="log the classifier inside it (its estimator_), and apply the threshold to the probability",
            returned="return the classifier inside it (its estimator_), and apply the threshold to the probability",
        )


def _spoken(model: Any) -> str:
    kind = type(model)
    return f"a {kind.__qualname__}" if kind.__module__ == "builtins" else f"a {kind.__module__}.{kind.__qualname__}"


def _signature(model: Any, given: Given, expected: Any) -> Signature:
    from sklearn.base import is_classifier, is_regressor

    task: Literal["classification", "regression", "other"] = "other"
    outputs: tuple[OutputSpec, ...]
    classes: tuple[Any, ...] = ()
    if is_classifier(model):
        task = "classification"
        classes = tuple(np.asarray(model.classes_).tolist())
        label = OutputSpec(name="label", kind="text" if any(isinstance(c, str) for c in classes) else "int")
        size = None if len(classes) == 2 else len(classes)
        probable = OutputSpec(name="probability", kind="float", size=size)
        outputs = (probable, label) if hasattr(model, "predict_proba") else (label,)
    else:
        task = "regression" if is_regressor(model) else "other"
        size = None if np.ndim(expected) == 1 else int(np.shape(expected)[1])
        outputs = (OutputSpec(name="prediction", kind="float", size=size),)
    forgiving = _allows_missing(model)
    inputs = tuple(
        msgspec.structs.replace(spec, nullable=spec.nullable or (forgiving and spec.kind in ("float", "category")))
        for spec in given.inputs
    )
    named = given.container == "frame" and hasattr(model, "feature_names_in_")
    return Signature(
        inputs=inputs, outputs=outputs, task=task, classes=classes, container="frame" if named else "matrix"
    )


def _allows_missing(model: Any) -> bool:
    from sklearn.utils import get_tags

    return bool(get_tags(model).input_tags.allow_nan)


def _predictions(model: Any, sample: Any) -> Any:
    """Return probabilities of a classifier that has them, else values or labels."""
    call = getattr(model, "predict_proba", None) or getattr(model, "predict", None)
    if call is None:
        raise NotPackable(
            f"a {type(model).__name__} does not predict",
            where="log_model",
            why="A model that is served answers predict or predict_proba.",
            next="log the whole pipeline, from the first transformation to the estimator",
            returned="return the whole pipeline, from the first transformation to the estimator",
        )
    return _answer(model, call, sample)


def _answer(model: Any, call: Callable[[Any], Any], sample: Any) -> Any:
    try:
        with warnings.catch_warnings():
            # Trained on a matrix and shown as a frame, or the other way round: the names are only for people.
            warnings.filterwarnings("ignore", message="X (has|does not have valid) feature names")
            return np.asarray(call(sample))
    except Exception as error:
        raise NotPackable(
            f"the {type(model).__name__} cannot predict its own sample: {type(error).__name__}: "
            f"{' '.join(str(error).split())[:200].rstrip('.')}",
            where="log_model",
            why="The sample is what the model will be asked with: the same columns as in training.",
            next="give the frame or matrix that the model was trained on: run.log_model(model, sample=X)",
            returned="train on the rows as they are given; what selects or changes columns belongs into the pipeline",
        ) from error


def _to_skops(model: Any, sample: Any, expected: Any) -> bytes:
    try:
        import skops.io as skops
        from skops.io.exceptions import UnsupportedTypeException
    except ImportError:
        raise MissingExtra(
            "a scikit-learn model cannot be packed", where="log_model", package="skops", extra="sklearn"
        ) from None
    try:
        data = repeatable(skops.dumps(model))
    except (UnsupportedTypeException, TypeError, ValueError, AttributeError) as error:
        raise NotPackable(
            f"skops cannot keep the {type(model).__name__}: {' '.join(str(error).split())[:200]}",
            where="log_model",
            why="Something inside the model has no safe form.",
            next="use scikit-learn's own parts, or convert the model to ONNX and log that",
            returned="use scikit-learn's own parts, or convert the model to ONNX and return that",
        ) from None
    found = skops.get_untrusted_types(data=data)
    strangers = [name for name in found if not is_allowed_type(name)]
    if strangers:
        raise NotPackable(
            f"the model holds {', '.join(strangers[:5])}",
            where="log_model",
            why="The server loads only types of scikit-learn, NumPy and SciPy that it knows; any other could run code.",
            next="move your own functions and classes out of the model, or convert it to ONNX and log that",
            returned="move your own functions and classes out of the model, or convert it to ONNX and return that",
            types=tuple(strangers),
        )
    read = skops.loads(data, trusted=found)
    try:
        check_bounds(read)
    except Unsound as unsound:
        raise NotPackable(
            f"the {type(model).__name__} cannot be kept: {unsound}",
            where="log_model",
            why="The server follows the numbers that a model holds only where they point into its own arrays.",
            next="train it anew with scikit-learn, and leave its fitted parts as they are",
        ) from None
    if not _same(_predictions(read, sample), expected):
        raise NotPackable(
            f"the {type(model).__name__} predicts otherwise after it was kept and read back",
            where="log_model",
            why="What is served must be what was trained.",
            next="report it with the model's class and its versions of scikit-learn and skops",
        )
    return data


def _pack_graph(graph: Any, given: Given) -> PackedModel:
    """Take an ONNX model as it is: its own names of outputs, no task."""
    data = graph.SerializeToString()
    try:
        check_graph(data, where="log_model")
    except Unsound as unsound:
        raise NotPackable(
            f"the graph cannot be kept: {unsound}",
            where="log_model",
            why="What is approved is all that runs: a model's own bytes, with standard operators and within bounds.",
            next="onnx.load it beside its files, so that its values lie in it, export it with standard operators, "
            "and log that",
        ) from None
    takes = [value.name for value in graph.graph.input]
    if len(takes) > 1 and set(takes) != {spec.name for spec in given.inputs}:
        raise NotPackable(
            f"the graph takes {', '.join(takes[:10])}, the sample has {', '.join(s.name for s in given.inputs[:10])}",
            where="log_model",
            why="A graph takes one matrix of all columns, or each column by its name.",
            next="give a sample with the columns of the graph",
        )
    outputs = tuple(OutputSpec(name=value.name, kind="float") for value in graph.graph.output)
    signature = Signature(inputs=given.inputs, outputs=outputs, task="other", container=given.container)
    return _packed(
        "onnx", data, signature, given, model=graph, packages=_versions(("onnx",)), why="it was given as ONNX"
    )


def _spread(rows: int) -> Any:
    """Return the places of rows to compare predictions on, over the whole sample."""
    return np.unique(np.linspace(0, rows - 1, min(rows, COMPARED_ROWS)).astype(np.int64))


def _take(sample: Any, rows: Any) -> Any:
    if hasattr(sample, "iloc"):
        return sample.iloc[rows]
    if isinstance(sample, pa.Table):
        return sample.take(rows)
    if hasattr(sample, "collect"):
        sample = sample.collect()
    return sample[rows] if not isinstance(sample, list | tuple) else np.asarray(sample)[rows]


def _same(found: Any, expected: Any) -> bool:
    if found.dtype.kind not in "fc":
        return bool(np.array_equal(found, expected))
    # Arrays that were read back may lie otherwise in memory, and then the last bits of a product differ.
    return found.shape == expected.shape and bool(np.allclose(found, expected, rtol=1e-9, atol=1e-12, equal_nan=True))


def _versions(packages: tuple[str, ...]) -> dict[str, str]:
    return {package: importlib.metadata.version(package) for package in packages}
