"""Canonical JSON (RFC 8785): one value, one sequence of bytes, so that a digest names a value for ever."""

from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from itertools import repeat
from json.encoder import encode_basestring
from typing import Any

import msgspec
import rfc8785

from trimtab.kernel.errors import Invalid

_LIMIT = 2**53


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of a struct, mapping, list or scalar.

    Times become RFC 3339 text, structs become objects, NumPy's single values those of Python. Integers beyond 2**53,
    NaN and infinities have no place in JSON and raise ``Invalid``.
    """
    try:
        if _is_simple(value):
            data = _encode(value)
            if data.isascii() and b"\\" not in data:  # names have another order beyond ASCII, and escapes other forms
                return data
        return _text(msgspec.to_builtins(value, enc_hook=_plain)).encode()
    except (rfc8785.CanonicalizationError, TypeError, UnicodeEncodeError, RecursionError) as error:
        raise Invalid(
            f"a {type(value).__name__} cannot be written as canonical JSON: {error}",
            where="kernel.canonical",
            why="RFC 8785 knows only text, finite numbers up to 2**53, booleans, null, lists and objects.",
            next="turn the value into one of these first",
        ) from None


_encode = msgspec.json.Encoder(order="sorted").encode


def _is_simple(value: Any) -> bool:
    """Say whether the fast encoder writes a value in the canonical form: it does so for all but floats, which it writes
    otherwise, whole numbers out of range, and types that it alone knows."""
    left = [value]
    for _ in range(_MANY):  # every event passes here: one call, however many parts it has
        if not left:
            return True
        part = left.pop()
        kind = type(part)
        if kind in _WRITTEN_ALIKE:
            continue
        if kind is int and -_LIMIT < part < _LIMIT:
            continue
        if len(left) > _MANY:
            return False
        if kind is tuple or kind is list:
            left += part
        elif kind is dict and all(type(name) is str for name in part):
            left += part.values()
        elif names := _not_texts(kind):  # type: ignore[arg-type]
            left += map(getattr, repeat(part), names)
        elif names is None:
            return False
    return False


_MANY = 1_000_000
"""More parts than this are written the slow way, as is what lies within itself, and would go on for ever here."""
_WRITTEN_ALIKE = frozenset((str, type(None), bool, datetime, type(msgspec.UNSET)))


@lru_cache(maxsize=1024)
def _not_texts(kind: Any) -> tuple[str, ...] | None:
    """Return the fields of a struct that may hold something else than a text; None for what is no plain struct."""
    if issubclass(kind, StrEnum):
        return ()
    if not issubclass(kind, msgspec.Struct) or kind.__struct_config__.tag is not None:
        return None
    return tuple(field.name for field in msgspec.structs.fields(kind) if not _is_text(field.type))


def _is_text(kind: Any) -> bool:
    return kind in _TEXTS or (isinstance(kind, type) and issubclass(kind, StrEnum))


_TEXTS = (str, str | None, bool, datetime, datetime | None)


def _text(value: Any) -> str:
    # Every event passes here, and the reference encoder takes five times as long. What is rare (floats, numbers out
    # of range, foreign types) is still left to it, so that there is one authority; a test holds both to the same bytes.
    kind = type(value)
    if kind is str:
        return encode_basestring(value)
    if value is None:
        return "null"
    if kind is bool:
        return "true" if value else "false"
    if kind is int and -_LIMIT < value < _LIMIT:
        return str(value)
    if kind is dict:
        # UTF-16 code units decide the order; for ASCII that is the order of Python's text.
        names = sorted(value) if "".join(value).isascii() else sorted(value, key=_utf16)
        return "{" + ",".join([f"{encode_basestring(name)}:{_text(value[name])}" for name in names]) + "}"
    if kind is list or kind is tuple:
        return "[" + ",".join([_text(item) for item in value]) + "]"
    return rfc8785.dumps(value).decode()


def _plain(value: Any) -> Any:
    # What a library computed is a number like any other. NumPy itself is not imported to know one.
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:
        return value.item()
    raise TypeError(f"a {type(value).__name__} has no place in JSON")


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-be")
