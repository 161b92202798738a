"""What keys, names and values may look like, so that every database, file system and page can hold them."""

import math
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from trimtab.kernel import canonical
from trimtab.tracking.errors import BadName

KEY_LENGTH = 250
NAME_LENGTH = 200
ROLE_LENGTH = WRITER_LENGTH = 40
HOST_LENGTH = 255
PROCESS_LENGTH = 80
ARTIFACT_LENGTH = 500
VALUE_LENGTH = 8_000
FURTHEST_STEP = 2**53

# Control characters break pages and logs, lone surrogates no encoding can write; PostgreSQL refuses NUL.
_UNFIT = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]{1,60}/[\w!#$&^.+-]{1,60}(?: *; *[\w.-]+=[\w.+-]+)*", re.ASCII)
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


def checked_name(name: object, *, of: str) -> str:
    """Return the name of a run or experiment; raise ``BadName``."""
    if not isinstance(name, str) or not name or len(name) > NAME_LENGTH or _UNFIT.search(name):
        raise BadName(
            f"{str(name)[:60]!r} cannot be the name of {of}",
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


def texts_of(values: Mapping[str, Any], *, of: str) -> dict[str, str]:
    """Return what a user gave as parameters or tags as texts that can be kept; raise ``BadName``."""
    if not isinstance(values, Mapping):
        raise BadName(
            f"a {type(values).__name__} does not say which {of} has which value",
            where=of,
            why=f"Every {of} has a name and a value.",
            next="give a mapping, such as {'trees': 120}",
        )
    return checked_texts({key: text_of(value) for key, value in values.items()}, of=of)


def checked_texts(values: Mapping[str, str], *, of: str) -> dict[str, str]:
    """Return parameters or tags whose keys and values can be kept; raise ``BadName`` for the first that cannot."""
    return {checked_key(key, of=of): checked_value(value, key=key, of=of) for key, value in values.items()}


def checked_whole(number: int, *, of: str) -> int:
    """Return a count that every database can hold; raise ``BadName`` for any other."""
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= FURTHEST_STEP:
        raise BadName(
            f"{str(number)[:40]} cannot be the {of}",
            where=of,
            why="It is a whole number from 0 to 2**53.",
            next="give such a number",
        )
    return number


def checked_media_type(media_type: str) -> str:
    """Return a media type; raise ``BadName`` for one that no answer could carry."""
    if len(media_type) > 100 or not _MEDIA_TYPE.fullmatch(media_type):
        raise BadName(
            f"{media_type[:60]!r} is no media type",
            where="artifact type",
            why="A browser is told a type and a subtype, at most 100 characters long.",
            next="write for example text/plain or application/json; charset=utf-8, or leave it out",
        )
    return media_type


def checked_artifact(name: object) -> str:
    """Return an artifact's name; raise ``BadName`` for one that could be taken for a path out of the run."""
    name = name.as_posix() if isinstance(name, PurePath) else name if isinstance(name, str) else ""
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
    try:
        return str(value)
    except ValueError as error:  # Python writes no whole number of more than some thousand digits
        raise BadName(
            f"a {type(value).__name__} cannot be written as text: {error}",
            where="parameter or tag",
            why="A value is kept as the text that Python writes of it.",
            next="give a text or a smaller number",
        ) from None


def number_in(text: str) -> float | None:
    """Return the finite number that a text is, or None."""
    if len(text) > 40 or "_" in text:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
