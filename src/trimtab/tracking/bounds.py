"""Hold a scikit-learn model's numbers to the arrays that they point into, before its compiled code follows them.

A tree is an array of nodes that name other nodes and columns by number; compiled code goes where they point, without
looking. A crafted file would make it read what lies beside, or walk in a circle for ever. Here every part of a model is
looked at, however deep inside pipelines and ensembles it lies: whatever compiled code indexes by a stored number.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.tracking.errors import Unsound

Check = Callable[[Any], None]
PARTS_LIMIT = 5_000_000
"""Objects that a model may hold."""


def check_bounds(model: Any) -> None:
    """Raise ``Unsound`` for a fitted estimator whose stored numbers point out of its arrays, or in a circle."""
    for part in _parts(model):
        try:
            _check(part)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise Unsound(f"its {_name(part)} is malformed: {_short(error)}") from error


def _check(part: Any) -> None:
    for kinds, check in _checks():
        if isinstance(part, kinds):
            check(part)


def _parts(model: Any) -> Iterator[Any]:
    """Yield every object that a model holds, itself first."""
    todo, seen = [model], {id(model)}
    while todo:
        part = todo.pop()
        yield part
        for one in _held(part):
            if id(one) not in seen and not isinstance(one, str | bytes | bool | int | float | type(None)):
                seen.add(id(one))
                todo.append(one)
        if len(seen) > PARTS_LIMIT:
            raise Unsound(f"it holds more than {PARTS_LIMIT:,} objects")


def _held(part: Any) -> Sequence[Any]:
    match part:
        case dict():
            return (
                [*part, *part.values(), *vars(part).values()] if hasattr(part, "__dict__") else [*part, *part.values()]
            )
        case list() | tuple() | set() | frozenset():
            return [*part]
        case np.ndarray():
            return part.ravel().tolist() if part.dtype == object else []
        case partial():
            return [part.args, part.keywords, part.func]
        case type():
            return []
    return [*vars(part).values()] if hasattr(part, "__dict__") else []


@cache
def _checks() -> tuple[tuple[tuple[type, ...], Check], ...]:
    """Return what is looked at, and how."""
    from scipy.interpolate import BSpline
    from scipy.sparse import sparray, spmatrix
    from sklearn.cluster import BisectingKMeans, KMeans, MiniBatchKMeans
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor, IsolationForest
    from sklearn.ensemble._forest import BaseForest
    from sklearn.ensemble._gb import BaseGradientBoosting
    from sklearn.metrics import DistanceMetric
    from sklearn.neighbors import BallTree, KDTree
    from sklearn.neighbors._ball_tree import BallTree32
    from sklearn.neighbors._base import NeighborsBase
    from sklearn.neighbors._kd_tree import KDTree32
    from sklearn.svm._base import BaseLibSVM
    from sklearn.tree import BaseDecisionTree
    from sklearn.tree._tree import Tree

    return (
        ((Tree,), _tree),
        ((BaseDecisionTree,), _tree_of),
        ((BaseForest,), _forest),
        ((BaseGradientBoosting,), _boosting),
        ((IsolationForest,), _isolation),
        ((HistGradientBoostingClassifier, HistGradientBoostingRegressor), _histogram_boosting),
        ((KDTree, KDTree32, BallTree, BallTree32), _neighbour_tree),
        ((NeighborsBase,), _neighbours),
        ((DistanceMetric,), _metric),
        ((BaseLibSVM,), _support_vectors),
        ((KMeans, MiniBatchKMeans, BisectingKMeans), _centers),
        ((BSpline,), _spline),
        ((spmatrix, sparray), _sparse),
    )


def _require(holds: object, what: str) -> None:
    if not holds:
        raise Unsound(what)


def _within(numbers: Any, size: int) -> bool:
    found = np.asarray(numbers)
    return found.dtype.kind in "iu" and bool(np.all((found >= 0) & (found < size)))


def _after(children: NDArray[Any], parents: NDArray[Any], size: int) -> bool:
    """Say whether every child lies behind its parent, as all growing writes them: then no walk comes back."""
    return bool(np.all((children.astype(np.int64) > parents) & (children < size)))


def _columns(model: Any) -> int:
    """Return how many columns an estimator takes; without that number it would not look at what it is given."""
    count = vars(model).get("n_features_in_")
    _require(
        isinstance(count, int) and not isinstance(count, bool) and count > 0, f"its {_name(model)} takes no columns"
    )
    return int(count)


# --- trees ----------------------------------------------------------------------------------------------------------


def _tree(tree: Any) -> None:
    # First of all: what the tree itself returns about its nodes reads as many as it says it has.
    _require(0 < tree.node_count <= tree.capacity, "a tree of it counts more nodes than it has")
    _require(tree.n_outputs > 0 and tree.max_n_classes > 0, "a tree of it has no values")
    left, right, column = tree.children_left, tree.children_right, tree.feature
    inner = np.flatnonzero(left != -1)
    _require(
        _after(left[inner], inner, tree.node_count) and _after(right[inner], inner, tree.node_count),
        "a tree of it has nodes that lead to no node, or back",
    )
    _require(_within(column[inner], tree.n_features), "a tree of it asks for columns that there are not")


def _tree_of(model: Any) -> None:
    if (tree := vars(model).get("tree_")) is not None:
        _require(tree.n_features == _columns(model), f"the tree of its {_name(model)} is of other columns")


def _forest(model: Any) -> None:
    for one in vars(model).get("estimators_", ()):
        _require(_columns(one) == _columns(model), f"a tree of its {_name(model)} is of other columns")


def _boosting(model: Any) -> None:
    trees = vars(model).get("estimators_")
    if trees is None:
        return
    _require(isinstance(trees, np.ndarray) and trees.ndim == 2 and trees.size, f"its {_name(model)} has no trees")
    for one in trees.ravel():
        fits = _columns(one) == _columns(model) and (one.tree_.n_outputs, one.tree_.max_n_classes) == (1, 1)
        _require(fits, f"a tree of its {_name(model)} is of other columns or values")
    # The trees add to what its first guess answers, one column for each of them.
    for part in _parts(vars(model).get("init_")):
        _check(part)  # before it is asked
    guess = model._raw_predict_init(np.zeros((1, _columns(model)), dtype=np.float32))  # noqa: SLF001
    _require(guess.shape[1] == trees.shape[1], f"its {_name(model)} has more trees than answers")


def _isolation(model: Any) -> None:
    trees, chosen = vars(model).get("estimators_", ()), vars(model).get("estimators_features_", ())
    _require(len(trees) == len(chosen), "its IsolationForest has trees without columns")
    for one, columns in zip(trees, chosen, strict=True):
        fits = _columns(one) == len(columns) <= _columns(model) and _within(columns, _columns(model))
        _require(fits, "a tree of its IsolationForest is of other columns")


def _histogram_boosting(model: Any) -> None:
    own = vars(model)
    if "_predictors" not in own:
        return
    width, categorical = _columns(model), np.asarray(own["_bin_mapper"].is_categorical_)
    _require(own["_n_features"] == width == categorical.size, f"its {_name(model)} is of other columns")
    _require(categorical.dtype.kind in "bu" and categorical.ndim == 1, f"its {_name(model)} has columns of no kind")
    if own["_preprocessor"] is not None:
        _encoder_of_all(own["_preprocessor"], width)
    for iteration in own["_predictors"]:
        _require(len(iteration) == own["n_trees_per_iteration_"], f"its {_name(model)} has trees without answers")
        for tree in iteration:
            _histogram_tree(tree, categorical != 0)


def _encoder_of_all(encoder: Any, width: int) -> None:
    """Refuse an encoder that gives the trees fewer columns than they were grown on: nothing else counts them."""
    from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder
    from sklearn.utils import check_array

    given: list[int] = []
    for name, one, columns in encoder.transformers_:
        if isinstance(one, str) and one == "drop":
            continue
        is_encoder = isinstance(one, OrdinalEncoder)
        is_plain = isinstance(one, FunctionTransformer) and getattr(one.func, "func", one.func) is check_array
        places = encoder._transformer_to_input_indices[name]  # noqa: SLF001
        chosen = np.flatnonzero(columns).tolist()
        _require((is_encoder or is_plain) and list(places) == chosen, "its encoder is not one of its own kind")
        given += chosen
    _require(sorted(given) == list(range(width)), "its encoder gives other columns than its trees were grown on")


def _histogram_tree(tree: Any, categorical: NDArray[Any]) -> None:
    nodes, bitsets = tree.nodes, (tree.raw_left_cat_bitsets, tree.binned_left_cat_bitsets)
    _require(nodes.ndim == 1 and len(nodes), "a tree of it has no nodes")
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    _require(
        _after(nodes["left"][inner], inner, len(nodes)) and _after(nodes["right"][inner], inner, len(nodes)),
        "a tree of it has nodes that lead to no node, or back",
    )
    columns = nodes["feature_idx"][inner]
    _require(_within(columns, len(categorical)), "a tree of it asks for columns that there are not")
    by_category = nodes[inner]["is_categorical"] != 0
    _require(categorical[columns[by_category]].all(), "a tree of it takes numbers for categories")
    for bits in bitsets:
        fits = bits.ndim == 2 and bits.shape[1] == 8 and _within(nodes["bitset_idx"][inner][by_category], len(bits))
        _require(fits, "a tree of it asks for categories that there are not")


# --- neighbours, support vectors, centers ---------------------------------------------------------------------------


def _neighbour_tree(tree: Any) -> None:
    rows, order, nodes, bounds, _leaf, _levels, count, *_counts, metric, weights = tree.__getstate__()
    size, width = rows.shape
    _require(size and width and len(order) == size and _within(order, size), "its neighbours point to no rows")
    _require(
        count == len(nodes) == bounds.shape[1] > 0 and bounds.shape[2] == width, "its neighbours are of other rows"
    )
    _require(len(bounds) == (2 if "KDTree" in type(tree).__name__ else 1), "its neighbours have no bounds")
    start, end = nodes["idx_start"], nodes["idx_end"]
    _require(np.all((start >= 0) & (start <= end) & (end <= size)), "its neighbours point to no rows")
    inner = np.flatnonzero(nodes["is_leaf"] == 0)
    _require(np.all(2 * inner + 2 < count), "its neighbours lead to no node")
    _require(weights is None or weights.shape == (size,), "its neighbours have other weights")
    _p, scale, inverse = metric.__getstate__()
    _require(len(scale) in (1, width) and inverse.shape in ((1, 1), (width, width)), "its distance is of other columns")
    if "SEuclidean" in type(metric).__name__:
        _require(len(scale) == width, "its distance is of other columns")
    if "Haversine" in type(metric).__name__:
        _require(width == 2, "its distance is of other columns")


def _neighbours(model: Any) -> None:
    own = vars(model)
    if "_fit_X" not in own:
        return
    _require(own["_fit_X"].shape[1] == _columns(model), f"the rows of its {_name(model)} are of other columns")
    known, classes = own.get("_y"), own.get("classes_")
    if known is None:
        return
    _require(len(known) == own["_fit_X"].shape[0], f"its {_name(model)} has rows without an answer")
    if classes is not None and np.ndim(known) == 1:
        _require(_within(known, len(classes)), f"its {_name(model)} has answers of no class")


def _metric(metric: Any) -> None:
    raise Unsound(f"it holds a {_name(metric)} outside of the rows that it is about")


def _support_vectors(model: Any) -> None:
    own = vars(model)
    if "support_" not in own:
        return
    kinds, size = np.asarray(own["_n_support"]), len(own["support_"])
    by_class = model._impl in ("c_svc", "nu_svc")  # noqa: SLF001
    count = len(kinds) if by_class else 2
    pairs = count * (count - 1) // 2
    coefficients, vectors = own["_dual_coef_"], own["support_vectors_"]
    _require(len(kinds) == count >= 2 and np.all(kinds >= 0), f"its {_name(model)} has no classes")
    _require(not by_class or kinds.sum() == size, f"its {_name(model)} counts other vectors than it has")
    _require(coefficients.shape == (count - 1, size), f"its {_name(model)} has other coefficients than vectors")
    if own["_sparse"]:
        _require(coefficients.nnz == (count - 1) * size, f"its {_name(model)} has other coefficients than vectors")
    _require(own["_intercept_"].shape == (pairs,), f"its {_name(model)} has other intercepts than classes")
    for odds in (own["_probA"], own["_probB"]):
        _require(len(odds) in (0, pairs), f"its {_name(model)} has other probabilities than classes")
    learnt = own["shape_fit_"][0]
    _require(_within(own["support_"], learnt), f"its {_name(model)} points to rows that it has not seen")
    if model.kernel == "precomputed" or callable(model.kernel):
        return
    _require(vectors.shape == (size, _columns(model)), f"the vectors of its {_name(model)} are of other columns")


def _centers(model: Any) -> None:
    own = vars(model)
    if "cluster_centers_" not in own:
        return
    width = _columns(model)
    _require(own["cluster_centers_"].shape[1] == width, f"the centers of its {_name(model)} are of other columns")
    todo, seen = [own.get("_bisecting_tree")], set()
    while todo:
        if (half := todo.pop()) is None:
            continue
        _require(id(half) not in seen, f"the halves of its {_name(model)} lead back")
        seen.add(id(half))
        _require(np.shape(half.center) == (width,), f"the centers of its {_name(model)} are of other columns")
        todo += [half.left, half.right]


# --- SciPy ----------------------------------------------------------------------------------------------------------


def _spline(spline: Any) -> None:
    # Its constructor looks at all of it; what is read from a file was not constructed.
    type(spline)(spline.t, spline.c, spline.k)


def _sparse(matrix: Any) -> None:
    match matrix.format:
        case "csr" | "csc" | "bsr":
            matrix.check_format(full_check=True)
        case "coo":
            for places, size in zip(matrix.coords, matrix.shape, strict=True):
                _require(
                    len(places) == len(matrix.data) and _within(places, size), "a matrix of it points beside itself"
                )
        case "dia":
            _require(matrix.data.ndim == 2 and len(matrix.offsets) == len(matrix.data), "a matrix of it is malformed")
        case _:
            raise Unsound(f"it holds a sparse matrix of the kind {matrix.format!r}")


def _name(part: Any) -> str:
    return type(part).__name__


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
