"""Write plain values as YAML 1.2: what ``-o yaml`` prints. Read back by any YAML parser as the same values."""

import math
import re
from collections.abc import Iterator
from typing import Any

import msgspec

_PLAIN = re.compile(r"[A-Za-z_/][A-Za-z0-9_./@+ -]*[A-Za-z0-9_/@+-]|[A-Za-z_]")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf"}


def to_yaml(value: Any) -> str:
    """Return a value made of mappings, lists, text, numbers, booleans and None as YAML text."""
    return "\n".join(_lines(value)) + "\n"


def _lines(value: Any) -> Iterator[str]:
    match value:
        case dict() if value:
            for key, item in value.items():
                yield from _entry(f"{_scalar(str(key))}:", item, indent="  ")
        case list() | tuple() if value:
            for item in value:
                yield from _entry("-", item, indent="  ")
        case _:
            yield _scalar(value)


def _entry(lead: str, item: Any, *, indent: str) -> Iterator[str]:
    if not (isinstance(item, dict | list | tuple) and item):
        yield f"{lead} {_scalar(item)}"
        return
    lines = list(_lines(item))
    if lead == "-":
        yield f"- {lines[0]}"
        lines = lines[1:]
    else:
        yield lead
    for line in lines:
        yield indent + line


def _scalar(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float() if math.isnan(value):
            return ".nan"
        case float() if math.isinf(value):
            return ".inf" if value > 0 else "-.inf"
        case int() | float():
            return repr(value)
        case str() if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
            return value
        case dict():
            return "{}"
        case list() | tuple():
            return "[]"
        case _:
            # A JSON text is a YAML text.
            return msgspec.json.encode(value).decode()
