"""What keys, names and values may look like, so that every database, file system and page can hold them."""

import math
import re
from collections.abc import Mapping
from pathlib import PurePath

from trimtab.kernel import digest_of_bytes
from trimtab.tracking.errors import BadName

KEY_LENGTH = 250
NAME_LENGTH = 200
ROLE_LENGTH = WRITER_LENGTH = 40
HOST_LENGTH = 255
PROCESS_LENGTH = 80
ARTIFACT_LENGTH = 500
VALUE_LENGTH = 8_000
LONGEST_NUMBER = 40
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


def fit_key(key: str) -> str:
    """Return a key that can be kept: the same one where that is possible, else one that shows what was meant."""
    shown = _UNFIT.sub(lambda found: _shown(found.group()), key) or "(empty)"
    if len(shown) <= KEY_LENGTH:
        return shown
    # With the digest two long keys that begin alike still differ.
    return shown[: KEY_LENGTH - 20] + "... " + digest_of_bytes(shown.encode()).removeprefix("sha256:")[:16]


def _shown(control: str) -> str:
    """Return the sign that stands for a control character."""
    return "␡" if control == "\x7f" else chr(0x2400 + ord(control)) if control < " " else "?"


def fit_text(text: str) -> str:
    """Return somebody else's text without what a database cannot hold."""
    return text.replace("\x00", "␀").encode("utf-8", "replace").decode("utf-8")


def number_in(text: str) -> float | None:
    """Return the finite number that a text is, or None."""
    if len(text) > LONGEST_NUMBER or "_" in text:
        return None
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
