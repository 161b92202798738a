"""A model's stored numbers stay within its own arrays, and no walk through it comes back, before compiled code runs."""

import io
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
import skops.io as skops
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import BisectingKMeans, KMeans
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.metrics import DistanceMetric
from sklearn.multioutput import MultiOutputClassifier
from sklearn.neighbors import (
    KernelDensity,
    KNeighborsClassifier,
    KNeighborsRegressor,
    LocalOutlierFactor,
    RadiusNeighborsClassifier,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer
from sklearn.svm import SVC, SVR, NuSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.tree._tree import Tree
from tests.serving.late import trained

from trimtab.tracking import NotPackable, Unsound, check_bounds, pack_model

ROWS, COLUMNS = 120, 4
random = np.random.default_rng(3)
X = random.random((ROWS, COLUMNS))
TWO = (X[:, 0] > 0.5).astype(np.int64)
THREE = np.digitize(X[:, 0], [0.3, 0.6])

KINDS: dict[str, Callable[[], BaseEstimator]] = {
    "tree": DecisionTreeClassifier,
    "forest": lambda: RandomForestClassifier(4),
    "extra trees": lambda: ExtraTreesRegressor(4),
    "boosting": lambda: GradientBoostingClassifier(n_estimators=4),
    "boosting from a tree": lambda: GradientBoostingClassifier(
        n_estimators=2, init=DecisionTreeClassifier(max_depth=2)
    ),
    "boosting from zero": lambda: GradientBoostingRegressor(n_estimators=2, init="zero"),
    "histogram boosting": lambda: HistGradientBoostingClassifier(max_iter=4),
    "ada boost": lambda: AdaBoostClassifier(n_estimators=3),
    "bagging": lambda: BaggingClassifier(n_estimators=3, max_features=0.5),
    "isolation": lambda: IsolationForest(n_estimators=4),
    "isolation by some columns": lambda: IsolationForest(n_estimators=4, max_features=0.5),
    "neighbours": KNeighborsClassifier,
    "neighbours in balls": lambda: KNeighborsRegressor(
        algorithm="ball_tree", metric="seuclidean", metric_params={"V": np.ones(COLUMNS)}
    ),
    "neighbours by brute force": lambda: KNeighborsClassifier(algorithm="brute"),
    "neighbours within a radius": lambda: RadiusNeighborsClassifier(5.0),
    "density": KernelDensity,
    "outliers": lambda: LocalOutlierFactor(novelty=True),
    "support vectors": SVC,
    "support vectors of a regression": SVR,
    "support vectors of one class": OneClassSVM,
    "sparse support vectors": lambda: make_pipeline(OneHotEncoder(handle_unknown="ignore"), NuSVC(nu=0.1)),
    "centers": lambda: KMeans(3, n_init=1),
    "halved centers": lambda: BisectingKMeans(4),
    "splines": lambda: make_pipeline(SplineTransformer(), SVC()),
    "calibrated": lambda: CalibratedClassifierCV(RandomForestClassifier(2), cv=2),
    "stacking": lambda: StackingClassifier([("a", RandomForestClassifier(2)), ("b", SVC())], cv=2),
    "voting": lambda: VotingClassifier([("a", DecisionTreeClassifier()), ("b", RandomForestClassifier(2))]),
    "some columns": lambda: make_column_transformer((KMeans(2, n_init=1), [0, 1]), remainder="passthrough"),
}


@pytest.mark.parametrize("answers", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_what_scikit_learn_has_fitted_passes_before_and_after_it_was_kept(
    kind: Callable[[], BaseEstimator], answers: Any
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = kind().fit(X, answers)  # type: ignore[attr-defined]
    check_bounds(model)
    data = skops.dumps(model)
    check_bounds(skops.loads(data, trusted=skops.get_untrusted_types(data=data)))


def test_a_boosting_of_categories_passes() -> None:
    check_bounds(trained())


def rebuilt(tree: Any, change: Callable[[dict[str, Any]], None], *, columns: int = COLUMNS) -> Any:
    """Return a tree with another content: all that a crafted file can say about it."""
    _make, (_columns, classes, outputs), state = tree.__reduce__()
    state = {**state, "nodes": state["nodes"].copy()}
    change(state)
    made = Tree(columns, classes, outputs)
    made.__setstate__(state)
    return made


def at(field: str, node: int, value: int) -> Callable[[dict[str, Any]], None]:
    def change(state: dict[str, Any]) -> None:
        state["nodes"][field][node] = value

    return change


def fewer(state: dict[str, Any]) -> None:
    state["node_count"] = 1


TREES: dict[str, Callable[[dict[str, Any]], None]] = {
    "a child beyond the end": at("left_child", 0, 1_000_000),
    "a child before the start": at("right_child", 0, -7),
    "a child that is its parent": at("left_child", 0, 0),
    "a child that leads back": at("right_child", 1, 0),
    "no right child": at("right_child", 0, -1),
    "a column beyond the last": at("feature", 0, COLUMNS),
    "a column before the first": at("feature", 0, -2_000_000),
    "nodes beyond those that it counts": fewer,
}


def of_a_tree(change: Callable[[dict[str, Any]], None]) -> DecisionTreeClassifier:
    model = DecisionTreeClassifier(random_state=0).fit(X, THREE)
    model.tree_ = rebuilt(model.tree_, change)
    return model


@pytest.mark.parametrize("change", TREES.values(), ids=TREES.keys())
def test_a_tree_that_leaves_its_arrays_is_refused(change: Callable[[dict[str, Any]], None]) -> None:
    with pytest.raises(Unsound):
        check_bounds(of_a_tree(change))


@pytest.mark.parametrize(
    "around",
    [
        lambda tree: make_pipeline(OneHotEncoder(), tree),
        lambda tree: {"a": [(tree,)]},
        lambda tree: np.array([tree, None], dtype=object),
        lambda tree: _with(CalibratedClassifierCV(), calibrated_classifiers_=[_with(BaseEstimator(), estimator=tree)]),
        lambda tree: _with(StackingClassifier([]), estimators_=[tree], final_estimator_=None),
        lambda tree: _with(MultiOutputClassifier(None), estimators_=[tree]),
        lambda tree: _with(VotingClassifier([]), named_estimators_={"a": tree}),
    ],
    ids=["pipeline", "containers", "array", "calibrated", "stacking", "several outputs", "voting"],
)
def test_it_is_found_wherever_it_lies(around: Callable[[Any], Any]) -> None:
    check_bounds(around(DecisionTreeClassifier().fit(X, TWO)))
    with pytest.raises(Unsound, match="lead to no node, or back"):
        check_bounds(around(of_a_tree(at("left_child", 0, 0))))


def _with(model: Any, **attributes: Any) -> Any:
    vars(model).update(attributes)
    return model


def test_a_model_that_does_not_count_its_columns_is_refused() -> None:
    model = DecisionTreeClassifier().fit(X, TWO)
    vars(model).pop("n_features_in_")
    with pytest.raises(Unsound, match="takes no columns"):
        check_bounds(model)
    with pytest.raises(Unsound, match="of other columns"):
        check_bounds(_with(model, n_features_in_=COLUMNS - 1))


def _wide() -> DecisionTreeClassifier:
    return DecisionTreeClassifier().fit(np.hstack([X, X]), TWO)


def _forest_of_wide() -> Any:
    model = RandomForestClassifier(2).fit(X, TWO)
    model.estimators_[1] = _wide()
    return model


def _boosting_of_wide() -> Any:
    model = GradientBoostingClassifier(n_estimators=2).fit(X, TWO)
    model.estimators_[1, 0] = DecisionTreeRegressor().fit(np.hstack([X, X]), TWO)
    return model


def _boosting_of_more_than_it_answers() -> Any:
    model = GradientBoostingClassifier(n_estimators=2).fit(X, TWO)
    model.estimators_ = np.hstack([model.estimators_] * 3)
    return model


def _boosting_from_less() -> Any:
    model = GradientBoostingClassifier(n_estimators=2).fit(X, THREE)
    model.init_ = DecisionTreeClassifier().fit(X, TWO)
    return model


def _boosting_from_a_crafted_tree() -> Any:
    model = GradientBoostingClassifier(n_estimators=2).fit(X, THREE)
    model.init_ = of_a_tree(at("feature", 0, 5_000_000))
    return model


def _isolation_of_wide() -> Any:
    model = IsolationForest(n_estimators=3, max_features=0.5).fit(X)
    model.estimators_features_[1] = model.estimators_features_[1][:1]
    return model


def _histogram(change: Callable[[Any], None]) -> Callable[[], Any]:
    def make() -> Any:
        model = pickle.loads(pickle.dumps(trained()))
        change(model)
        return model

    return make


def _node(field: str, value: int, *, first: int = 0) -> Callable[[], Any]:
    def change(model: Any) -> None:
        model._predictors[1][0].nodes[field][first] = value

    return _histogram(change)


def _by_another_category(model: Any) -> None:
    nodes = model._predictors[0][0].nodes
    nodes["is_categorical"][0], nodes["feature_idx"][0], nodes["bitset_idx"][0] = 1, 4, 0


def _beyond_its_categories(model: Any) -> None:
    nodes = model._predictors[0][0].nodes
    nodes["is_categorical"][0], nodes["feature_idx"][0], nodes["bitset_idx"][0] = 1, 0, 40_000


def _dropping_encoder(model: Any) -> None:
    encoder = model._preprocessor
    encoder.transformers_[1] = ("numerical", "drop", encoder.transformers_[1][2])


def _fewer_kinds(model: Any) -> None:
    model._bin_mapper.is_categorical_ = model._bin_mapper.is_categorical_[:2]


def _neighbours(change: Callable[[list[Any]], None]) -> Callable[[], Any]:
    def make() -> Any:
        model = KNeighborsClassifier(algorithm="kd_tree", leaf_size=10).fit(X, TWO)
        state = [np.array(part) if isinstance(part, np.ndarray) else part for part in model._tree.__getstate__()]
        change(state)
        model._tree.__setstate__(tuple(state))
        return model

    return make


def _put(place: int, key: Any, value: Any) -> Callable[[list[Any]], None]:
    def change(state: list[Any]) -> None:
        state[place][key] = value

    return change


def _short(place: int) -> Callable[[list[Any]], None]:
    def change(state: list[Any]) -> None:
        state[place] = state[place][:-1].copy()

    return change


def _never_a_leaf(state: list[Any]) -> None:
    state[2]["is_leaf"][:] = 0


def _labels_of_no_class() -> Any:
    model = KNeighborsClassifier(algorithm="brute").fit(X, TWO)
    model._y = model._y + 1_000_000
    return model


def _vectors(**attributes: Any) -> Callable[[], Any]:
    def make() -> Any:
        model = SVC().fit(X, THREE)
        return _with(model, **{name: change(vars(model)[name]) for name, change in attributes.items()})

    return make


def _spline() -> Any:
    model = SplineTransformer().fit(X)
    spline = model.bsplines_[0]
    spline.c = spline.c[:2].copy()
    return model


def _sparse(fault: str) -> Callable[[], Any]:
    def make() -> Any:
        matrix = sp.csr_matrix(np.eye(3))
        getattr(matrix, fault)[1] = 1_000_000
        return {"matrix": matrix}

    return make


def _halves_in_a_circle() -> Any:
    model = BisectingKMeans(4).fit(X)
    model._bisecting_tree.left = model._bisecting_tree
    return model


CRAFTED: dict[str, Callable[[], Any]] = {
    "a forest of a wider tree": _forest_of_wide,
    "a boosting of a wider tree": _boosting_of_wide,
    "a boosting of more trees than answers": _boosting_of_more_than_it_answers,
    "a boosting from fewer answers": _boosting_from_less,
    "a boosting from a crafted tree": _boosting_from_a_crafted_tree,
    "an isolation tree of other columns": _isolation_of_wide,
    "a histogram node beyond the end": _node("left", 4_000_000),
    "a histogram node that leads back": _node("right", 0),
    "a histogram column beyond the last": _node("feature_idx", 9_000),
    "a histogram column before the first": _node("feature_idx", -9_000),
    "a histogram of another category": _histogram(_by_another_category),
    "a histogram beyond its categories": _histogram(_beyond_its_categories),
    "a histogram of an encoder that drops columns": _histogram(_dropping_encoder),
    "a histogram of fewer columns": _histogram(_fewer_kinds),
    "neighbours beyond the rows": _neighbours(_put(1, 3, 1_000_000)),
    "neighbours of a node beyond the rows": _neighbours(lambda state: state[2]["idx_end"].__setitem__(4, 10_000_000)),
    "neighbours without a leaf": _neighbours(_never_a_leaf),
    "neighbours of fewer bounds": _neighbours(_short(3)),
    "neighbours of fewer rows": _neighbours(_short(1)),
    "neighbours of no class": _labels_of_no_class,
    "vectors of other counts": _vectors(_n_support=lambda found: found + 100),
    "vectors of fewer coefficients": _vectors(_dual_coef_=lambda found: found[:, :1].copy()),
    "vectors of fewer intercepts": _vectors(_intercept_=lambda found: found[:1].copy()),
    "vectors of fewer columns": _vectors(support_vectors_=lambda found: found[:, :1].copy()),
    "vectors that point beyond the rows": _vectors(support_=lambda found: found + 100_000),
    "centers of fewer columns": lambda: _with(KMeans(2, n_init=1).fit(X), cluster_centers_=np.zeros((2, 1))),
    "halves in a circle": _halves_in_a_circle,
    "a spline of fewer coefficients": _spline,
    "a sparse matrix beyond its columns": _sparse("indices"),
    "a sparse matrix beyond its values": _sparse("indptr"),
    "a distance by itself": lambda: {"metric": DistanceMetric.get_metric("euclidean")},
}


@pytest.mark.parametrize("craft", CRAFTED.values(), ids=CRAFTED.keys())
def test_what_leaves_its_arrays_is_refused(craft: Callable[[], Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = craft()
    with pytest.raises(Unsound):
        check_bounds(model)


def test_packing_refuses_it_with_four_parts() -> None:
    model = make_pipeline(SplineTransformer(), of_a_tree(lambda _state: None)).fit(X, TWO)
    model.steps[-1] = ("tree", _with(model.steps[-1][1], n_features_in_=model.steps[-1][1].n_features_in_))
    assert pack_model(model, X).format in ("onnx", "skops")
    forest = make_pipeline(SplineTransformer(), RandomForestClassifier(2)).fit(X, TWO)
    tree = forest[-1].estimators_[0]
    tree.tree_ = rebuilt(tree.tree_, at("right_child", 0, 1), columns=tree.n_features_in_ + 1)
    with pytest.raises(NotPackable, match="is of other columns") as caught:
        pack_model(forest, X)
    assert all(caught.value.parts().values())


def test_bounds_of_a_large_forest_cost_little() -> None:
    """Half a million nodes are looked at as arrays; one by one they would take minutes."""
    many = random.random((20_000, COLUMNS))
    model = ExtraTreesRegressor(20).fit(many, random.random(20_000))
    assert sum(one.tree_.node_count for one in model.estimators_) > 500_000
    check_bounds(model)


def test_a_model_of_too_many_parts_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimtab.tracking.bounds.PARTS_LIMIT", 100)
    with pytest.raises(Unsound, match="more than 100 objects"):
        check_bounds([[one] for one in range(200)])


def test_what_holds_itself_ends() -> None:
    held: list[Any] = [io.BytesIO()]
    held.append(held)
    check_bounds(held)
