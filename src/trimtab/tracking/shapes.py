"""What a value is made of, so that it can be written as text: a scalar, items, pairs, a call, or only a text.

Packages that may be missing (pandas, Polars, pydantic, torch) are known by what their objects can do.
"""

import array
import collections
import dataclasses
import datetime as dt
import enum
import functools
import re
import sys
import types
from collections.abc import Iterable, Mapping, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

import msgspec
import numpy as np


class Items(NamedTuple):
    """Values in their order, or in none (a set)."""

    items: Iterable[Any]
    ordered: bool = True


class Pairs(NamedTuple):
    """Names and their values."""

    pairs: Iterable[tuple[Any, Any]]


class Call(NamedTuple):
    """An object as it would be made: its name, and its parts by name; a part with no name stands alone."""

    name: str
    pairs: Iterable[tuple[str, Any]]


class Text(NamedTuple):
    """What has only a text. ``missing``: it says that there is no value; ``bare``: it names a value only."""

    text: str
    missing: bool = False
    bare: bool = False


Shape = None | bool | int | float | str | Items | Pairs | Call | Text

_MISSING = frozenset({"NAType", "NaTType", "MaskedConstant"})
"""pandas.NA, pandas.NaT, numpy.ma.masked."""
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")
"""What Python writes of an object that has no text: where it lies in memory, another place each time."""


def shape_of(value: Any) -> Shape:
    """Say what a value is made of. Raises what the value's own methods raise."""
    kind = type(value)
    if value is None or kind in (bool, int, float, str):
        plain: Shape = value
        return plain
    if kind.__name__ in _MISSING:
        return Text(str(value), missing=True)
    for look in (_numpy_scalar, _scalar, _time, _code, _frame, _array, _record, _container, _distribution):
        shape = look(value)
        if shape is not None:
            return shape
    return _object(value)


def _scalar(value: Any) -> Shape:
    match value:
        case str() | collections.UserString():
            return str.__str__(value) if isinstance(value, str) else value.data
        case int():
            return int.__index__(value)
        case float():
            return float.__float__(value)
        case bytes() | bytearray() | memoryview():
            return Text(repr(bytes(value)))
        case enum.Enum() | range() | np.dtype():
            return Text(str(value))
    return None


def _numpy_scalar(value: Any) -> Shape:
    match value:
        case np.bool_():
            return bool(value)
        case np.integer() if not isinstance(value, np.timedelta64):
            return int(value)
        case np.floating():
            # The shortest text that reads back as this value: 0.1 of float32, not 0.10000000149011612.
            return float(str(value)) if value.dtype.itemsize <= np.dtype(np.float64).itemsize else Text(str(value))
        case np.complexfloating():
            return Text(str(value))
        case np.datetime64() | np.timedelta64():
            return _numpy_time(value)
        case np.str_():
            return str.__str__(value)
        case np.void():
            return _inner(value.item())
    return None


def _inner(value: Any) -> Shape:
    """Say what the one value inside of another one is made of."""
    return Text("None", missing=True) if value is None else shape_of(value)


def _numpy_time(value: Any) -> Shape:
    if np.isnat(value):
        return Text("NaT", missing=True)
    unit = np.datetime_data(value.dtype)[0]
    if unit in ("Y", "M", "generic") or (isinstance(value, np.datetime64) and unit in ("W", "D")):
        return Text(str(value))
    micro = value.astype(f"{value.dtype.kind}8[us]")
    found = micro.item() if micro == value else None
    return _time(found) if isinstance(found, dt.datetime | dt.timedelta) else Text(str(value))


def _time(value: Any) -> Shape:
    match value:
        case dt.datetime() | dt.date() | dt.time():
            text = value.isoformat()
            return Text(f"{text[:-6]}Z" if text.endswith("+00:00") else text)
        case dt.timedelta():
            if getattr(value, "nanoseconds", 0):  # of pandas
                return Text(value.isoformat())  # type: ignore[attr-defined]
            whole = dt.timedelta(days=value.days, seconds=value.seconds, microseconds=value.microseconds)
            return Text(str(msgspec.to_builtins(whole)))
    return None


def _code(value: Any) -> Shape:
    """Functions and classes, by their names."""
    if isinstance(value, functools.partial):
        given = [("", value.func), *(("", one) for one in value.args), *sorted(value.keywords.items())]
        return Call("partial", given)
    if not callable(value):
        return None
    if isinstance(value, types.GenericAlias) or type(value).__module__ == "typing":
        return Text(repr(value))  # list[int], whose name is list
    name = getattr(value, "__qualname__", None) or getattr(value, "__name__", None)
    if not isinstance(name, str):
        return None
    module = "numpy" if isinstance(value, np.ufunc) else getattr(value, "__module__", None)
    return Text(name if module in (None, "builtins") else f"{module}.{name}")


def _frame(value: Any) -> Shape:
    """Tables and columns of pandas, Polars and Arrow, and sparse matrices."""
    if hasattr(value, "iloc"):  # pandas
        index = value.index
        plain = type(index).__name__ == "RangeIndex" and index.start == 0 and index.step == 1
        if not hasattr(value, "columns"):
            return Items(value) if plain else Pairs(zip(index, value, strict=True))
        columns = [(name, Items(value.iloc[:, n])) for n, name in enumerate(value.columns)]
        return Pairs(columns if plain else [("index", Items(index)), *columns])
    if hasattr(value, "iter_columns"):  # Polars
        return Pairs(zip(value.columns, value.iter_columns(), strict=True))
    if hasattr(value, "column_names") and hasattr(value, "columns"):  # Arrow
        return Pairs(zip(value.column_names, value.columns, strict=True))
    if hasattr(value, "as_py"):
        return _inner(value.as_py())
    if hasattr(value, "tocoo"):
        cells = value.tocoo()
        return Pairs([("shape", value.shape), ("data", cells.data), ("coords", cells.coords)])
    return None


def _array(value: Any) -> Shape:
    """Arrays of NumPy and of everything that looks like one: torch, JAX, an index of pandas, a column of Polars."""
    if isinstance(value, np.matrix):
        value = np.asarray(value)  # whose rows would be matrices again
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return _inner(value.item()) if len(value.shape) == 0 else Items(value)
    return Items(value) if hasattr(value, "to_pylist") else None


def _record(value: Any) -> Shape:
    """Objects that declare their fields: dataclasses, msgspec, attrs, pydantic, namespaces."""
    kind = type(value)
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind)]
    elif hasattr(kind, "__struct_fields__"):
        names = list(kind.__struct_fields__)
    elif hasattr(kind, "__attrs_attrs__"):
        names = [field.name for field in kind.__attrs_attrs__]
    elif isinstance(getattr(kind, "__pydantic_fields__", None), dict):
        names = [*kind.__pydantic_fields__, *(getattr(value, "__pydantic_extra__", None) or {})]
    elif isinstance(value, types.SimpleNamespace) or (kind.__module__, kind.__name__) == ("argparse", "Namespace"):
        names = sorted(vars(value))
    else:
        return None
    return Pairs([(name, getattr(value, name, None)) for name in names])


def _container(value: Any) -> Shape:
    match value:
        case Items() | Pairs():  # of this module, inside of each other
            return value
        case Mapping():
            return Pairs(value.items())
        case AbstractSet():
            return Items(value, ordered=False)
        case Sequence() | collections.deque() | ValuesView() | array.array():
            return Items(value)
    return None


def _distribution(value: Any) -> Shape:
    """Distributions of scipy, of which searches draw; their own parts are mostly pages of documentation."""
    if not type(value).__module__.startswith("scipy.stats"):
        return None
    if hasattr(value, "dist") and hasattr(value, "kwds"):
        return Call(value.dist.name, [*(("", one) for one in value.args), *sorted(value.kwds.items())])
    name = str(getattr(value, "name", ""))
    return Text(f"scipy.stats.{name}") if getattr(sys.modules["scipy.stats"], name, None) is value else None


def _object(value: Any) -> Shape:
    kind = type(value)
    if callable(getattr(value, "get_params", None)):  # an estimator, whose own text leaves the end out
        return Call(kind.__qualname__, sorted(value.get_params(deep=False).items()))
    plain: tuple[Any, Any] = (object.__repr__, object.__str__)
    if (kind.__repr__, kind.__str__) == plain:
        if hasattr(value, "__dict__"):
            return Call(kind.__qualname__, sorted((name, of) for name, of in vars(value).items() if name != "__doc__"))
        return Text(f"<{kind.__module__}.{kind.__qualname__}>", bare=True)
    shown = repr(value)
    bare = _ADDRESS.search(shown) is not None
    return Text(without_address(shown if isinstance(value, BaseException) else str(value)), bare=bare)


def without_address(shown: str) -> str:
    """Return an object's own text without its place in memory."""
    return _ADDRESS.sub("", shown)
