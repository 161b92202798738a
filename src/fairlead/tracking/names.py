"""What keys, names and values may look like, so that every database, file system and page can hold them."""

import math
import re
from collections.abc import Mapping
from typing import Any

from fairlead.kernel import canonical
from fairlead.tracking.errors import BadName

KEY_LENGTH = 250
NAME_LENGTH = 200
ROLE_LENGTH = 40
ARTIFACT_LENGTH = 500
VALUE_LENGTH = 8_000

# Control characters break pages and logs, lone surrogates no encoding can write; PostgreSQL refuses NUL.
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_UNFIT_IN_TEXT = re.compile(r"[\x00\ud800-\udfff]")


def checked_key(key: object, *, of: str, most: int = KEY_LENGTH) -> str:
    """Return a metric's, parameter's or tag's key; raise ``BadName`` for one that cannot be kept."""
    if not isinstance(key, str) or not key or len(key) > most or _UNFIT.search(key):
        raise BadName(
            f"{str(key)[:60]!r} cannot be the name of a {of}",
            where=f"{of} name",
            why=f"A name is text of 1 to {most} characters without control characters.",
            next=f"choose another name for the {of}",
        )
    return key


def checked_name(name: str, *, of: str) -> str:
    """Return the name of a run or experiment; raise ``BadName``."""
    if not name or len(name) > NAME_LENGTH or _UNFIT.search(name):
        raise BadName(
            f"{name[:60]!r} cannot be the name of {of}",
            where=f"name of {of}",
            why=f"A name is text of 1 to {NAME_LENGTH} characters without control characters.",
            next="choose another name",
        )
    return name


def checked_value(value: str, *, key: str, of: str) -> str:
    """Return the text of a parameter or tag; raise ``BadName`` for one that cannot be kept."""
    if len(value) > VALUE_LENGTH or _UNFIT_IN_TEXT.search(value):
        raise BadName(
            f"the value of {of} {key[:60]!r} cannot be kept",
            where=f"{of} {key[:60]}",
            why=f"A value is text of at most {VALUE_LENGTH} characters (this has {len(value)}), without NUL.",
            next="log long texts as an artifact: run.log_text(text, 'name.txt')",
        )
    return value


def checked_texts(values: Mapping[str, str], *, of: str) -> dict[str, str]:
    """Return parameters or tags whose keys and values can be kept; raise ``BadName`` for the first that cannot."""
    return {checked_key(key, of=of): checked_value(value, key=key, of=of) for key, value in values.items()}


def checked_artifact(name: str) -> str:
    """Return an artifact's name; raise ``BadName`` for one that could be taken for a path out of the run."""
    parts = name.split("/")
    bad = not name or len(name) > ARTIFACT_LENGTH or _UNFIT.search(name) or "\\" in name or ":" in parts[0]
    if bad or any(part in ("", ".", "..") or part != part.strip() for part in parts):
        raise BadName(
            f"{name[:80]!r} cannot be the name of an artifact",
            where="artifact name",
            why="It is a relative name such as plots/roc.png: no '..', no leading '/', no backslash, at most 500 long.",
            next="give another name",
        )
    return name


def fit_text(text: str) -> str:
    """Return somebody else's text without what a database cannot hold."""
    return text.replace("\x00", "␀").encode("utf-8", "replace").decode("utf-8")


def text_of(value: Any) -> str:
    """Return a parameter or tag as text: scalars as Python writes them, lists and mappings as canonical JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list | tuple):
        return canonical(value).decode()
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        value = value.item()  # a NumPy scalar: 0.1, not np.float64(0.1)
    return str(value)


def number_in(text: str) -> float | None:
    """Return the finite number that a text is, or None."""
    if len(text) > 40 or "_" in text:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
