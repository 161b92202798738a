"""Histogram gradient boosting at the speed of one call: all trees of a model laid out as a single tree.

scikit-learn spends some 4 ms on one row: most of it on checking a frame, the rest on calling each tree by itself.
Here the fitted encoder's mapping is read once, and the trees become the branches of one tree that looks first at an
added column, the tree's number; one call of scikit-learn's own compiled code then walks them all. The values are added
in scikit-learn's order, so the result is the same to the last bit; the caller checks that on the stored sample.

This leans on private parts of scikit-learn. Whatever is not as expected makes ``forest_of`` return None, and the
public path is taken.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.serving.records import Input, Scalar
from trimtab.serving.runtimes import Rows

FrameOf = Callable[[Sequence[Sequence[Scalar]]], Any]
WALKS_AT_ONCE = 16_384
"""Rows times trees up to which the single tree is walked; beyond, one call for each tree is as quick."""


class Forest:
    """A fitted ``HistGradientBoosting*`` model, ready for rows of plain values."""

    def __init__(self, model: Any, encode: Callable[[Rows], NDArray[Any]]) -> None:
        self._encode = encode
        self._predictors = model._predictors  # noqa: SLF001
        self._baseline = np.asarray(model._baseline_prediction, dtype=np.float64)  # noqa: SLF001
        self._ways = int(model.n_trees_per_iteration_)
        trees = [tree for iteration in self._predictors for tree in iteration]
        self._number = np.arange(len(trees), dtype=np.float64)
        self._width = int(model.n_features_in_)
        known, places = model._bin_mapper.make_known_categories_bitsets()  # noqa: SLF001
        self._known = known
        self._places = np.append(places, np.zeros(1, places.dtype))
        self._tree = _as_one(trees, self._width)
        # A classifier's probabilities, a regressor's inverse link.
        self._finish: Callable[[Any], Any] = (
            model._loss.predict_proba if hasattr(model, "classes_") else _inverse(model._loss.link)  # noqa: SLF001
        )

    def predict(self, rows: Rows) -> NDArray[Any]:
        """Return what ``predict_proba``, or a regressor's ``predict``, returns for these rows."""
        encoded = self._encode(rows)
        if len(encoded) * len(self._number) <= WALKS_AT_ONCE:
            raw = self._walk(encoded)
        else:
            raw = np.zeros((len(encoded), self._ways), dtype=self._baseline.dtype, order="F")
            raw += self._baseline
            for iteration in self._predictors:
                for way, tree in enumerate(iteration):
                    raw[:, way] += tree.predict(encoded, self._known, self._places[:-1], 1)
        return np.asarray(self._finish(raw))

    def _walk(self, encoded: NDArray[Any]) -> NDArray[Any]:
        n, trees = len(encoded), len(self._number)
        walks = np.empty((n, trees, self._width + 1))
        walks[:, :, :-1] = encoded[:, None, :]
        walks[:, :, -1] = self._number
        leaves = self._tree.predict(walks.reshape(n * trees, -1), self._known, self._places, 1)
        steps = np.empty((n, trees // self._ways + 1, self._ways))
        steps[:, 0, :] = self._baseline
        steps[:, 1:, :] = leaves.reshape(n, -1, self._ways)
        # Added one after the other, from the baseline on, as scikit-learn does: any other order rounds differently.
        return np.asfortranarray(np.add.accumulate(steps, axis=1)[:, -1, :])


def forest_of(model: Any, inputs: tuple[Input, ...], frame_of: FrameOf, *, sample: Rows) -> Forest | None:
    """Return the fast path of a model, or None when it has none."""
    if type(model).__name__ not in ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor"):
        return None
    if not len(sample):
        return None
    try:
        forest = Forest(model, _encoder(model, inputs, frame_of, sample))
        forest.predict(sample[:1])
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, ImportError):
        return None  # another release of scikit-learn, with other insides
    return forest


def _encoder(model: Any, inputs: tuple[Input, ...], frame_of: FrameOf, sample: Rows) -> Callable[[Rows], NDArray[Any]]:
    """Return a function that encodes rows as the fitted preprocessor does; raise ``ValueError`` if it is unclear."""
    categorical = [place for place, column in enumerate(inputs) if column.kind == "category"]
    preprocessor = model._preprocessor  # noqa: SLF001
    if preprocessor is None:
        if categorical:
            raise ValueError("texts without an encoder")
        return lambda rows: rows.numbers()
    is_categorical = np.asarray(model.is_categorical_)
    if list(np.flatnonzero(is_categorical)) != categorical:
        raise ValueError("numbers are used as categories")
    order = [*categorical, *np.flatnonzero(~is_categorical).tolist()]
    codes = {place: _codes(preprocessor, inputs, frame_of, sample, place, order.index(place)) for place in categorical}
    plan = [(place, codes.get(place)) for place in order]
    nan = float("nan")

    def encode(rows: Rows) -> NDArray[Any]:
        if not codes:
            return rows.numbers()
        return np.array(
            [[row[at] if code is None else code.get(row[at], nan) for at, code in plan] for row in rows.values],
            dtype=np.float64,
        )  # fmt: skip

    probe = Rows([list(row) for row in sample.values])
    if not np.array_equal(encode(probe), np.asarray(preprocessor.transform(frame_of(probe.values))), equal_nan=True):
        raise ValueError("the encoder does more than replacing texts by codes")
    return encode


def _codes(
    preprocessor: Any, inputs: tuple[Input, ...], frame_of: FrameOf, sample: Rows, place: int, column: int
) -> dict[Scalar, float]:
    """Ask the fitted preprocessor for the code of each category of one column."""
    texts = inputs[place].categories
    probes = []
    for text in texts:
        row = list(sample.values[0])
        row[place] = text
        probes.append(row)
    if not probes:
        return {}
    encoded = np.asarray(preprocessor.transform(frame_of(probes)))[:, column].tolist()
    return dict(zip(texts, encoded, strict=True))


def _as_one(trees: Sequence[Any], width: int) -> Any:
    """Lay trees out as one that branches by column ``width``, the tree's number, before it branches as they do."""
    from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

    starts = (np.cumsum([0, *(len(tree.nodes) for tree in trees)]) + len(trees) - 1).tolist()
    nodes = np.zeros(starts[-1], dtype=trees[0].nodes.dtype)
    bitsets, so_far = [], 0
    for tree, start in zip(trees, starts, strict=False):
        part = tree.nodes.copy()
        inner = part["is_leaf"] == 0
        part["left"][inner] += start
        part["right"][inner] += start
        part["bitset_idx"] += so_far
        so_far += len(tree.raw_left_cat_bitsets)
        bitsets.append(tree.raw_left_cat_bitsets)
        nodes[start : start + len(part)] = part
    _branch(nodes, starts[:-1], width)
    together = np.concatenate(bitsets)
    return TreePredictor(nodes, together, together)


def _branch(nodes: NDArray[Any], starts: Sequence[int], width: int) -> None:
    """Fill the first nodes with a balanced choice between the trees that begin at ``starts``."""
    free = 0
    todo: list[tuple[int, int, int]] = []  # (node, first tree, one past the last tree)

    def child(first: int, past: int) -> int:
        nonlocal free
        if past - first == 1:
            return starts[first]
        free += 1
        todo.append((free - 1, first, past))
        return free - 1

    child(0, len(starts))
    while todo:
        node, first, past = todo.pop()
        middle = (first + past) // 2
        nodes[node]["feature_idx"] = width
        nodes[node]["num_threshold"] = middle - 0.5
        nodes[node]["left"] = child(first, middle)
        nodes[node]["right"] = child(middle, past)


def _inverse(link: Any) -> Callable[[Any], Any]:
    return lambda raw: link.inverse(raw).ravel()
