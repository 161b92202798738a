"""Canonical JSON (RFC 8785): one value, one sequence of bytes, so that a digest names a value for ever."""

from json.encoder import encode_basestring
from typing import Any

import msgspec
import rfc8785

from trimtab.kernel.errors import Invalid

_LIMIT = 2**53


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of a struct, mapping, list or scalar.

    Times become RFC 3339 text, structs become objects. Integers beyond 2**53, NaN and infinities have no
    place in JSON and raise ``Invalid``.
    """
    try:
        return _text(msgspec.to_builtins(value)).encode()
    except (rfc8785.CanonicalizationError, TypeError, UnicodeEncodeError, RecursionError) as error:
        raise Invalid(
            f"a {type(value).__name__} cannot be written as canonical JSON: {error}",
            where="kernel.canonical",
            why="RFC 8785 knows only text, finite numbers up to 2**53, booleans, null, lists and objects.",
            next="turn the value into one of these first",
        ) from None


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


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-be")
