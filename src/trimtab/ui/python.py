"""What a page shows as a line of Python: complete, so that it can be copied into any session of the project."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def python_line(room: str, function: str, *given: Any, **named: Any) -> str:
    """Return the line that calls a function of a room with the store of the current folder and these values.

    Whoever made a link to the page chose some of these values: each is written as a literal.
    """
    values = [*given, *named.values()]
    arguments = ["open_store()", *map(repr, given), *(f"{name}={value!r}" for name, value in named.items())]
    imports = [f"from trimtab.{room} import {function}"] if room != "store" else []
    imports += ["import datetime"] if any(isinstance(value, datetime) for value in values) else []
    names = f"{function}, open_store" if room == "store" else "open_store"
    return "; ".join([*imports, f"from trimtab.store import {names}", f"{function}({', '.join(arguments)})"])


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that were given, without those that are empty."""
    return {name: value for name, value in values.items() if value not in (None, "")}
