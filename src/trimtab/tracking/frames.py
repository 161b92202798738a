"""Turn the frame or matrix that a model learnt from into an Arrow table and a description of its columns."""

from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trimtab.tracking.errors import NotPackable
from trimtab.tracking.records import InputSpec

MOST_CATEGORIES = 100_000
Kind = Literal["float", "int", "bool", "category"]


class Given(NamedTuple):
    """What was given as a sample: plain columns (float64, int64, bool, string), their description, and its form."""

    table: pa.Table
    inputs: tuple[InputSpec, ...]
    container: Literal["frame", "matrix"]


def read_sample(sample: Any) -> Given:
    """Describe a pandas, Polars or Arrow frame, or a NumPy matrix, whose columns are named x0, x1, ...

    Text columns are categories; those of a categorical column keep their order, those of plain text are sorted.
    Raises ``NotPackable`` for what no model can be served with.
    """
    try:
        return _read(sample)
    except NotPackable:
        raise
    except Exception as error:  # noqa: BLE001  what other people's objects raise
        kind = f"{type(sample).__module__.partition('.')[0]} {type(sample).__name__}"
        why = f"It raises {type(error).__name__}: {' '.join(str(error).split())[:160]}."
        raise _refused(f"the sample, a {kind}, cannot be read", why=why) from None


def _read(sample: Any) -> Given:
    if isinstance(sample, np.ndarray) or (isinstance(sample, list | tuple) and sample):
        return _matrix(np.asarray(sample))
    columns = _columns(sample)
    if not columns or not len(columns[0][1]):
        raise _refused("the sample is empty", why="The signature and the reference profile come from its rows.")
    names = [name for name, _ in columns]
    if len(set(names)) != len(names):
        raise _refused("two columns of the sample have one name", why="A request names each column once.")
    described = [_column(name, array) for name, array in columns]
    table = pa.table({spec.name: array for spec, array in described})
    return Given(table, tuple(spec for spec, _ in described), "frame")


def _columns(sample: Any) -> list[tuple[str, pa.Array]]:
    library = type(sample).__module__.partition(".")[0]
    if library == "polars" and hasattr(sample, "collect"):
        sample = sample.collect()
    if library == "pandas" and hasattr(sample, "columns"):
        return [(str(name), _from_series(str(name), sample.iloc[:, n])) for n, name in enumerate(sample.columns)]
    if isinstance(sample, pa.Table) or hasattr(sample, "__arrow_c_stream__"):
        table = pa.table(sample)
        return [(name, _whole(column)) for name, column in zip(table.column_names, table.columns, strict=True)]
    if hasattr(sample, "toarray"):
        raise _refused("the sample is a sparse matrix", why="Requests are rows of plain values.")
    raise _refused(f"the sample is a {type(sample).__name__}", why="A sample is a frame or a matrix.")


def _from_series(name: str, series: Any) -> pa.Array:
    try:
        return _whole(pa.array(np.asarray(series) if hasattr(series, "sparse") else series, from_pandas=True))
    except (pa.ArrowException, OverflowError, UnicodeEncodeError) as error:
        why = f"Arrow says: {str(error).splitlines()[0][:200]}."
        raise _refused(f"column {name} of the sample holds values that no one type holds", why=why) from None


def _column(name: str, array: pa.Array) -> tuple[InputSpec, pa.Array]:
    categories: tuple[str, ...] = ()
    kind: Kind
    if pa.types.is_dictionary(array.type):
        values = array.dictionary.to_pylist()
        if not all(isinstance(value, str) for value in values):
            raise _refused(
                f"the categories of {name} are not texts",
                why="Requests send categories as text, and 1 and '1' must not be confused.",
                next=f"frame[{name!r}] = frame[{name!r}].astype(str).astype('category'), and train again",
            )
        # Polars gives the texts of its categories in a form that Arrow can cast and not take from.
        array = pa.DictionaryArray.from_arrays(array.indices, array.dictionary.cast(pa.string())).dictionary_decode()
        kind, categories = "category", tuple(values)
    elif pa.types.is_string(array.type) or pa.types.is_large_string(array.type) or array.type == pa.string_view():
        array = array.cast(pa.string())
        kind, categories = "category", tuple(sorted(array.unique().drop_null().to_pylist()))
    elif pa.types.is_boolean(array.type):
        kind = "bool"
    elif pa.types.is_integer(array.type):
        if array.type == pa.uint64() and (pc.max(array).as_py() or 0) >= 2**63:
            raise _refused(
                f"column {name} of the sample holds whole numbers from 2**63 on",
                why="Requests send whole numbers of 64 bits with a sign.",
                next=f"turn {name} into text before training if it is a name, else into a float",
            )
        kind, array = "int", array.cast(pa.int64())
    elif pa.types.is_floating(array.type) or pa.types.is_decimal(array.type) or pa.types.is_null(array.type):
        if pa.types.is_decimal(array.type):
            array = array.cast(pa.string())  # Arrow's own way to a float is one bit off now and then
        kind, array = "float", _nan_to_null(array.cast(pa.float64()))
    else:
        raise _refused(
            f"column {name} of the sample holds values of type {array.type}",
            why="A model is asked with numbers, booleans and categories.",
            next=f"turn {name} into one of these before training",
        )
    if len(categories) > MOST_CATEGORIES:
        raise _refused(
            f"column {name} of the sample has {len(categories)} different texts",
            why=f"At most {MOST_CATEGORIES} are kept: so many are names, not categories.",
            next=f"leave {name} out of what the model learns from",
        )
    missing = array.null_count > 0
    return InputSpec(name=name, kind=kind, categories=categories, nullable=missing, missing=missing), array


def _matrix(matrix: np.ndarray) -> Given:
    if matrix.ndim != 2 or not matrix.size:
        raise _refused(
            f"the sample has the shape {matrix.shape}", why="A sample is a matrix with a row for each example."
        )
    if matrix.dtype == object:
        try:
            matrix = matrix.astype(np.float64)
        except (TypeError, ValueError):
            why = "A matrix has no names and types of columns, so only numbers can be told apart."
            raise _refused("the matrix holds other things than numbers", why=why, next="train on a frame") from None
    if matrix.dtype.kind not in "fiub":
        why = "A matrix has no names and types of columns, so only numbers can be told apart."
        raise _refused(f"the matrix is of type {matrix.dtype}", why=why, next="train on a frame")
    if matrix.dtype == np.longdouble:
        matrix = matrix.astype(np.float64)  # as scikit-learn takes it
    columns = [
        (f"x{n}", pa.array(np.ascontiguousarray(matrix[:, n]), from_pandas=True)) for n in range(matrix.shape[1])
    ]
    described = [_column(name, array) for name, array in columns]
    return Given(pa.table({s.name: a for s, a in described}), tuple(spec for spec, _ in described), "matrix")


def _nan_to_null(array: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_nan(array), None, array)


def _whole(column: Any) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        if pa.types.is_dictionary(column.type):
            column = column.unify_dictionaries()
        column = column.combine_chunks()
    if isinstance(column, pa.ChunkedArray):
        return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    return column


def _refused(what: str, *, why: str, next: str = "") -> NotPackable:
    todo = next or "give the frame or matrix that the model was trained on: run.log_model(model, sample=X)"
    return NotPackable(what, where="log_model", why=why, next=todo)
