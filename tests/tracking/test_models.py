"""A model is packed into bytes that load without running code and predict the same, or it is refused and told why."""

import io
import zipfile
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    TimeSeriesSplit,
    TunedThresholdClassifierCV,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from trimtab.tracking import (
    ALLOWED_TYPES,
    BadName,
    InputSpec,
    NotPackable,
    find_artifact,
    get_run,
    is_allowed_type,
    list_artifacts,
    list_models,
    pack_model,
    read_artifact,
)
from trimtab.tracking.frames import read_sample

ROWS = 300


@pytest.fixture(scope="module")
def frame():
    random = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "temp": random.normal(50, 10, ROWS),
            "hour": random.integers(0, 24, ROWS),
            "carrier": pd.Categorical(random.choice(["UA", "AA", "DL"], ROWS), categories=["UA", "AA", "DL", "VX"]),
            "rain": random.random(ROWS) > 0.5,
        }
    )


@pytest.fixture(scope="module")
def late(frame):
    return (frame.temp + frame.hour > 62).astype(int)


def loaded(packed):
    """Load skops bytes as the server does: nothing beyond the list."""
    import skops.io as skops

    found = skops.get_untrusted_types(data=packed.data)
    assert all(is_allowed_type(name) for name in found)
    return skops.loads(packed.data, trusted=found)


def answers(packed, columns):
    import onnxruntime

    session = onnxruntime.InferenceSession(packed.data, providers=["CPUExecutionProvider"])
    dtypes = {"tensor(double)": np.float64, "tensor(float)": np.float32, "tensor(string)": object}
    takes = session.get_inputs()
    if len(takes) == 1:
        return session.run(None, {"X": np.asarray(columns, dtype=dtypes[takes[0].type])})
    return session.run(None, {t.name: columns[[t.name]].to_numpy().astype(dtypes[t.type]) for t in takes})


def test_boosting_with_categories_goes_through_skops_bit_for_bit(frame, late):
    X = frame.copy()
    X.loc[3, ["temp", "carrier"]] = None
    model = HistGradientBoostingClassifier(max_iter=20, categorical_features="from_dtype").fit(X, late)
    packed = pack_model(model, X)
    assert packed.format == "skops"
    assert packed.why.startswith("not ONNX: ")
    assert np.array_equal(loaded(packed).predict_proba(X), model.predict_proba(X))
    signature = packed.signature
    assert signature.inputs == (
        InputSpec(name="temp", kind="float", missing=True),
        InputSpec(name="hour", kind="int", nullable=False, missing=False),
        InputSpec(name="carrier", kind="category", categories=("UA", "AA", "DL", "VX"), missing=True),
        InputSpec(name="rain", kind="bool", nullable=False, missing=False),
    )
    assert (signature.task, signature.classes, signature.container) == ("classification", (0, 1), "frame")
    assert [output.name for output in signature.outputs] == ["probability", "label"]
    sample = pq.read_table(io.BytesIO(packed.sample))
    assert sample.num_rows == 20
    assert sample.column("carrier").type == pa.string()
    assert packed.profile.rows == ROWS
    assert packed.profile.column("carrier").nulls == 1
    assert set(packed.packages) == {"numpy", "scikit-learn", "skops"}


@pytest.mark.parametrize(
    "made",
    [
        lambda: HistGradientBoostingClassifier(max_iter=5, categorical_features="from_dtype", random_state=0),
        lambda: make_pipeline(
            make_column_transformer((OneHotEncoder(sparse_output=False), ["carrier"]), remainder=StandardScaler()),
            HistGradientBoostingClassifier(max_iter=5, random_state=0),
        ),
    ],
    ids=["boosting", "pipeline"],
)
def test_the_same_model_has_the_same_bytes_each_time(frame, late, made):
    first, second = (pack_model(made().fit(frame, late), frame) for _ in range(2))
    assert first.format == "skops"
    assert first.data == second.data
    with zipfile.ZipFile(io.BytesIO(first.data)) as found:
        assert {entry.date_time[0] for entry in found.infolist()} == {1980}


def test_linear_models_become_onnx_and_agree(frame, late):
    X = frame[["temp", "hour", "rain"]].astype(float)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, late)
    packed = pack_model(model, X)
    assert packed.format == "onnx"
    label, probability = answers(packed, X)
    assert np.array_equal(label, model.predict(X))
    assert probability.dtype == np.float64
    assert np.allclose(probability, model.predict_proba(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("model", [Ridge(), GradientBoostingRegressor(n_estimators=10)])
def test_regressors_become_onnx_with_one_value_a_row(frame, model):
    X = frame[["temp", "hour"]].astype(float)
    fitted = model.fit(X, frame.temp * 2)
    packed = pack_model(fitted, X)
    assert packed.format == "onnx"
    (prediction,) = answers(packed, X)
    assert prediction.shape == (ROWS,)
    assert np.allclose(prediction, fitted.predict(X), rtol=1e-5, atol=1e-6)
    assert [output.name for output in packed.signature.outputs] == ["prediction"]


def test_pipelines_over_categories_become_onnx_by_column(frame, late):
    X = frame[["carrier", "temp"]]
    encoder = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["carrier"]), remainder="passthrough")
    model = make_pipeline(encoder, LogisticRegression()).fit(X, late)
    packed = pack_model(model, X)
    assert packed.format == "onnx"
    _, probability = answers(packed, X.astype({"carrier": object}))
    assert np.allclose(probability, model.predict_proba(X), rtol=1e-5, atol=1e-6)


def test_a_matrix_and_texts_as_labels(frame):
    X = frame[["temp", "hour"]].to_numpy(dtype=float)
    labels = np.array(["early", "late", "very late"])[(frame.hour // 8).to_numpy()]
    model = RandomForestClassifier(5, random_state=0).fit(X, labels)
    packed = pack_model(model, X)
    assert [spec.name for spec in packed.signature.inputs] == ["x0", "x1"]
    assert packed.signature.container == "matrix"
    assert packed.signature.classes == ("early", "late", "very late")
    assert packed.signature.outputs[0].size == 3
    label, probability = answers(packed, X)
    assert label.tolist() == model.predict(X).tolist()
    assert probability.shape == (ROWS, 3)


@pytest.mark.parametrize("made", [pl.from_pandas, pa.Table.from_pandas, lambda frame: frame.values.tolist()])
def test_other_frames(frame, late, made):
    numbers = frame[["temp", "hour"]].astype(float)
    sample = made(numbers)
    model = LogisticRegression().fit(numbers.to_numpy() if isinstance(sample, list) else numbers, late)
    packed = pack_model(model, sample)
    assert [spec.kind for spec in packed.signature.inputs] == ["float", "float"]
    assert packed.profile.column(packed.signature.inputs[0].name).mean == pytest.approx(numbers.temp.mean())


@pytest.mark.parametrize("kind", [pl.String, pl.Categorical, pl.Enum(["b", "a"])])
def test_texts_of_polars_in_every_form(kind):
    sample = pl.DataFrame({"a": pl.Series(["a", "b", "b", "a"] * 5, dtype=kind)})
    model = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(sample, [0, 1, 1, 0] * 5)
    (column,) = pack_model(model, sample).signature.inputs
    assert column.kind == "category"
    assert column.categories == (("b", "a") if isinstance(kind, pl.Enum) else ("a", "b"))


def test_numbers_in_every_form():
    given = [pa.table({"a": pa.array([Decimal("12345678901234567.89"), Decimal("0.10")])})]
    given += [pd.DataFrame({"a": pd.arrays.SparseArray([0, 1])}), np.array([[0.5], [1.5]], np.longdouble)]
    found = [read_sample(one).table.columns[0].to_pylist() for one in given]
    assert found == [[12345678901234567.89, 0.1], [0, 1], [0.5, 1.5]]


def test_trained_on_a_matrix_and_shown_as_a_frame(frame, late):
    X = frame[["temp", "hour"]].astype(float)
    packed = pack_model(LogisticRegression().fit(X.to_numpy(), late), X)
    assert packed.signature.container == "matrix"
    assert [spec.name for spec in packed.signature.inputs] == ["temp", "hour"]


def test_neighbours_and_boosted_regressors_load_from_the_list(frame, late):
    X = frame[["temp", "hour"]].astype(float)
    for model in (
        KNeighborsClassifier(metric="minkowski", algorithm="kd_tree"),
        HistGradientBoostingRegressor(max_iter=5, loss="poisson"),
        make_pipeline(FunctionTransformer(np.log1p), HistGradientBoostingClassifier(max_iter=5)),
        RidgeClassifier(),
        KernelRidge(),
        GaussianProcessRegressor(optimizer=None),
    ):
        packed = pack_model(model.fit(X, late), X)
        if packed.format == "skops":
            assert np.allclose(loaded(packed).predict(X), model.predict(X), rtol=1e-9)


def test_a_classifier_without_probabilities_answers_its_label(frame, late):
    X = frame[["temp", "hour"]].astype(float)
    packed = pack_model(RidgeClassifier().fit(X, late), X)
    assert packed.format == "skops"
    assert packed.why == "not ONNX: it gives no probabilities"
    assert [output.name for output in packed.signature.outputs] == ["label"]


@pytest.mark.parametrize(
    "model",
    [DecisionTreeClassifier(max_depth=2), KNeighborsClassifier(3), OneVsRestClassifier(LogisticRegression())],
    ids=lambda model: type(model).__name__,
)
def test_a_classifier_of_several_labels_is_refused_and_the_run_still_ends(record, frame, late, model):
    X = frame[["temp", "hour"]].astype(float)
    labels = np.column_stack([late, X.temp > 50]).astype(int)
    with record() as run, pytest.raises(NotPackable, match="several labels for one row"):
        run.log_model(model.fit(X, labels), X)
    assert run.finish().status == "finished"


@pytest.mark.parametrize(
    "model",
    [
        FixedThresholdClassifier(LogisticRegression(), threshold=0.2),
        make_pipeline(StandardScaler(), TunedThresholdClassifierCV(LogisticRegression(), scoring="f1", cv=2)),
    ],
    ids=["fixed", "tuned in a pipeline"],
)
def test_a_classifier_with_its_own_threshold_is_refused_for_what_would_be_served_is_another(frame, late, model):
    X = frame[["temp", "hour"]].astype(float)
    with pytest.raises(NotPackable, match="has a threshold of its own"):
        pack_model(model.fit(X, late), X)


def test_a_search_over_parameters_is_kept_whole(frame, late):
    X = frame[["temp", "hour"]].astype(float)
    boosted = HistGradientBoostingClassifier(max_iter=2)
    for scoring, cv in ((None, 2), ("roc_auc", TimeSeriesSplit(2)), ("neg_log_loss", 2)):
        search = GridSearchCV(boosted, {"max_depth": [1, 2]}, cv=cv, scoring=scoring).fit(X, late)
        assert np.array_equal(loaded(pack_model(search, X)).predict_proba(X), search.predict_proba(X))


def test_a_long_name_is_kept_or_refused_before_anything_is_written(sqlite_store, record, frame, late):
    X = frame[["temp", "hour"]].astype(float)
    model = LogisticRegression().fit(X, late)
    with record() as run:
        assert run.log_model(model, X, name="m" * 200).name == "m" * 200
        kept = list_artifacts(sqlite_store, run.id)
        with pytest.raises(BadName):
            run.log_model(model, X, name="n" * 201)
        assert list_artifacts(sqlite_store, run.id) == kept
    assert get_run(sqlite_store, run.id).datasets[0].role == "m" * 33 + ".sample"


def my_own(values):
    return values


class MyClassifier(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self

    def predict(self, X):
        return np.zeros(len(X), dtype=int)


def test_own_code_inside_a_model_is_refused_now_and_not_at_the_server(frame, late):
    X = frame[["temp", "hour"]].astype(float)
    with pytest.raises(NotPackable, match=r"the model holds .*my_own") as caught:
        pack_model(make_pipeline(FunctionTransformer(my_own), LogisticRegression()).fit(X, late), X)
    assert any("my_own" in name for name in caught.value.data["types"])
    with pytest.raises(NotPackable, match="MyClassifier"):
        pack_model(MyClassifier().fit(X, late), X)


@pytest.mark.parametrize(
    "name",
    [
        "os.system", "posix.system", "builtins.eval", "builtins.exec", "builtins.getattr", "subprocess.Popen",
        "numpy.load", "numpy.f2py", "sklearn.utils._testing.Foo", "joblib.load", "pickle.loads",
        "operator.methodcaller", "functools.reduce",
    ],
)  # fmt: skip
def test_nothing_that_could_run_code_is_on_the_list(name):
    assert not is_allowed_type(name)
    assert {entry.split(".")[0] for entry in ALLOWED_TYPES} == {"sklearn", "numpy", "scipy", "functools", "collections"}


def test_what_is_no_trained_model_is_refused(frame, late):
    X = frame[["temp", "hour"]].astype(float)
    for model, says in (
        (LogisticRegression(), "is not trained"),
        (object(), "cannot be packed"),
        (lambda rows: rows, "cannot be packed"),
        (StandardScaler().fit(X), "does not predict"),
    ):
        with pytest.raises(NotPackable, match=says):
            pack_model(model, X)
    fitted = LogisticRegression().fit(X, late)
    with pytest.raises(NotPackable, match="cannot predict its own sample"):
        pack_model(fitted, frame[["temp"]])


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        (None, "the sample is a NoneType"),
        (pd.DataFrame({"a": []}), "the sample is empty"),
        (np.zeros(3), r"has the shape \(3,\)"),
        (np.array([["a"]]), "the matrix is of type"),
        (np.array([[object()]]), "other things than numbers"),
        (pd.DataFrame({"a": pd.to_datetime(["2013-01-01"])}), "holds values of type timestamp"),
        (pd.DataFrame({"a": [1, "b"]}), "holds values that no one type holds"),
        (pd.DataFrame({"a": pd.Series([2**70], dtype=object)}), "holds values that no one type holds"),
        (pd.DataFrame({"a": pd.Series(["\ud800"], dtype=object)}), "holds values that no one type holds"),
        (np.array([[2**64 - 1]], np.uint64), r"whole numbers from 2\*\*63 on"),
        ([[1], [1, 2]], "a builtins list, cannot be read"),
        (pd.Series([1]), "a pandas Series, cannot be read"),
        (pl.DataFrame({"a": pl.Series([1], dtype=pl.Int128)}), "a polars DataFrame, cannot be read"),
        (pl.LazyFrame({"a": [1]}).select("b"), "a polars LazyFrame, cannot be read"),
        (pd.DataFrame({"a": pd.Categorical([1, 2])}), "the categories of a are not texts"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "two columns of the sample have one name"),
    ],
)
def test_a_sample_that_nobody_could_ask_with_is_refused(sample, says):
    with pytest.raises(NotPackable, match=says):
        pack_model(LogisticRegression(), sample)


def test_an_onnx_graph_is_taken_as_it_is(frame, late):
    import onnx

    X = frame[["temp", "hour"]].astype(float)
    graph = onnx.load_from_string(pack_model(LogisticRegression().fit(X, late), X).data)
    packed = pack_model(graph, X)
    assert (packed.format, packed.signature.task) == ("onnx", "other")
    assert [output.name for output in packed.signature.outputs] == ["label", "probabilities"]


def test_a_run_keeps_the_model_with_everything_about_it(sqlite_store, record, frame, late):
    with record(params={"max_iter": "own"}) as run:
        model = HistGradientBoostingClassifier(max_iter=5, categorical_features="from_dtype").fit(frame, late)
        logged = run.log_model(model, sample=frame)
    (kept,) = list_models(sqlite_store, run.id)
    assert kept == logged
    assert (kept.name, kept.format) == ("model", "skops")
    for digest, name in (
        (kept.digest, "model.skops"),
        (kept.signature_digest, "signature.json"),
        (kept.sample, "sample.parquet"),
        (kept.profile, "profile.json"),
    ):
        artifact = find_artifact(sqlite_store, run.id, f"model/{name}")
        assert artifact.digest == digest
        assert read_artifact(sqlite_store, artifact)
    found = get_run(sqlite_store, run.id)
    assert (found.params["max_iter"], found.params["model.max_iter"]) == ("own", "5")
    assert found.params["learning_rate"] == "0.1"
    assert found.tags["model.class"].endswith("HistGradientBoostingClassifier")
    assert found.datasets[0].role == "model.sample"
    assert found.datasets[0].rows == ROWS
