"""Where in the user's file a declaration stands, found from the call stack."""

import linecache
import re
import sys
from pathlib import PurePath
from types import FrameType

_OURS = "trimtab.declare"
_PASSED_THROUGH = ("trimtab", "importlib._bootstrap", "_frozen_importlib", "functools")


def users_frame() -> FrameType:
    """Return the innermost frame that is not Trimtab's own language."""
    frame = sys._getframe(1)  # noqa: SLF001  the standard library's own loggers find the caller in this way
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__") or ""):
        frame = frame.f_back
    return frame


def here() -> str:
    """Return the user's file and line, as in ``flights.py:31``."""
    frame = users_frame()
    return place(frame.f_code.co_filename, frame.f_lineno)


def place(file: str, line: int) -> str:
    """Write a file and line for people: the file's name is enough, its folder is theirs."""
    return f"{PurePath(file).name}:{line}"


def field_lines(file: str, class_line: int, class_name: str) -> dict[str, int]:
    """Return the line of each annotation of a class body, by name; empty when the source text is out of reach."""
    lines = linecache.getlines(file)
    found: dict[str, int] = {}
    indent: int | None = None
    begun = False
    for number, line in enumerate(lines[max(0, class_line - 1) :], start=max(1, class_line)):
        text = line.lstrip()
        depth = len(line) - len(text)
        if not begun:
            # The class statement's line may be that of a decorator above it.
            begun = re.match(rf"class\s+{re.escape(class_name)}\b", text) is not None
            indent = depth if begun else None
            continue
        if text and not text.startswith("#") and indent is not None and depth <= indent and not text.startswith(")"):
            break
        annotation = re.match(r"(\w+)\s*:", text)
        if annotation:
            found.setdefault(annotation.group(1), number)
    return found


def _is_ours(module: str) -> bool:
    return module == _OURS or module.startswith(_OURS + ".") or module in _PASSED_THROUGH
