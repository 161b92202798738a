"""Any value as text: what a run keeps of a parameter or tag, whatever it was given.

A value alone is written as Python writes it (``0.1``, ``True``, ``None``), a time as ISO 8601, a function or class by
its name. What holds other values (lists, mappings, sets, arrays, frames, dataclasses) is JSON, keys in order. The same
value has the same text wherever it comes from: ``np.float32(0.1)`` is ``0.1``, a ``pd.Timestamp`` is the ``datetime``.
Nothing here raises for a value: what has no text of its own is named, and what is too long is cut, and says so.
"""

import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any, NamedTuple

from trimtab.kernel import canonical, digest_of_bytes
from trimtab.tracking.errors import BadName
from trimtab.tracking.names import VALUE_LENGTH, fit_key, fit_text, number_in
from trimtab.tracking.shapes import Call, Items, Pairs, Text, shape_of, without_address

MOST_WRITTEN = 1_000_000
"""Characters after which writing a value for such a text ends: a matrix logged by mistake must not stop a training."""
DEEPEST = 50
LARGEST_BITS = 1_000_000

_log = logging.getLogger("trimtab.tracking")


class Written(NamedTuple):
    """A value's text. ``lacks`` says what is missing in it, in words that follow the value's name; else it is empty."""

    text: str
    lacks: str = ""


def text_of(value: Any) -> Written:
    """Return the text that is kept of a parameter's or tag's value: at most ``VALUE_LENGTH`` characters."""
    writer = _Writer(most=MOST_WRITTEN)
    whole = writer.text(value)
    text = fit_text(whole)
    lacks = writer.lacks or ("holds characters that no database can keep" if text != whole else "")
    if len(text) <= VALUE_LENGTH:
        return Written(text, lacks)
    # With the digest two long values that begin alike still differ.
    digest = digest_of_bytes(text.encode()).removeprefix("sha256:")[:16]
    count = f"{'more than ' if writer.is_full else ''}{len(text)} characters"
    end = f"... [cut: {count}, sha256 {digest}]"
    lacks = f"has {count}, of which {VALUE_LENGTH} are kept: keep all with run.log_dict(value, 'name.json')"
    return Written(text[: VALUE_LENGTH - len(end)] + end, lacks)


def json_of(value: Any) -> Written:
    """Return a value as JSON, whole, mappings in their own order; what JSON has no word for is a text in it."""
    writer = _Writer(most=None)
    text = writer.json(value)
    return Written(fit_text(text), writer.lacks)


def texts_of(values: Any, *, of: str) -> dict[str, str]:
    """Return what a user gave as parameters or tags as names and texts that can be kept, and warn of what they lack.

    ``values`` has named parts. Raises ``BadName`` for what has none.
    """
    texts: dict[str, str] = {}
    for name, value in named(values, of=of):
        text, lacks = text_of(value)
        key = name_of(name, of=of)
        if texts.get(key, text) != text:  # 0 and "0"
            key = name_of(f"{key} ({type(name).__name__})", of=of)
        texts[key] = text
        if lacks:
            warn(f"{of} {key[:60]!r} {lacks}")
    return texts


def named(values: Any, *, of: str) -> list[tuple[Any, Any]]:
    """Return the named parts of a mapping, namespace, dataclass or series; raise ``BadName`` for what has none."""
    shape = Pairs(values.items()) if isinstance(values, Mapping) else shape_of(values)
    if not isinstance(shape, Pairs):
        raise BadName(
            f"a {type(values).__name__} does not say which {of} has which value",
            where=of,
            why=f"Every {of} has a name and a value.",
            next="give a mapping, such as {'trees': 120}",
        )
    return list(shape.pairs)


def warn(what: str) -> None:
    """Tell the user, where Python's logging shows it, without ever stopping the training."""
    _log.warning("%s", fit_text(what))


def name_of(name: Any, *, of: str, warn: Callable[[str], None] = warn) -> str:
    """Return a name that can be kept, and warn where it had to be changed for that."""
    given = name if type(name) is str else text_of(name).text
    key = fit_key(given)
    if key != given:
        warn(f"a {of} cannot have the name {given[:60]!r}: it is kept as {key[:60]!r}")
    return key


class _Writer:
    """Writes one value. ``most`` is about how many characters it writes before it stops."""

    def __init__(self, *, most: int | None) -> None:
        self.lacks = ""
        self._sorted = most is not None
        self._left = most
        self._inside: list[int] = []
        """The values that are being written, each inside the one before."""

    @property
    def is_full(self) -> bool:
        return self._left is not None and self._left < 0

    def text(self, value: Any) -> str:
        """Write a value that stands alone, or as a mapping's key."""
        return self._written(value, alone=True)

    def json(self, value: Any) -> str:
        """Write a value inside of another one."""
        return self._written(value, alone=False)

    def _written(self, value: Any, *, alone: bool) -> str:
        if len(self._inside) >= DEEPEST or id(value) in self._inside:
            self.lacks = "holds itself" if id(value) in self._inside else f"is nested more than {DEEPEST} times"
            return "..." if alone else '"..."'
        self._inside.append(id(value))
        try:
            text = self._shaped(shape_of(value), alone=alone)
        except Exception as error:  # noqa: BLE001  what other people's objects raise must not end a training
            kind = f"{type(value).__module__}.{type(value).__qualname__}"
            self.lacks = f"cannot be written: its {kind} raises {type(error).__name__}"
            text = _shown_by_itself(value) or f"<{kind}, which raises {type(error).__name__}>"
            text = text if alone else encode_basestring(text)
        finally:
            self._inside.pop()
        if self._left is not None:
            self._left -= len(text) + 1
        return text

    def _shaped(self, shape: Any, *, alone: bool) -> str:
        match shape:
            case Items(items, ordered):
                texts = list(self._each(items))
                return "[" + ",".join(texts if ordered else sorted(texts, key=_order)) + "]"
            case Pairs(pairs):
                return self._mapping(pairs)
            case Text(_, missing) if missing and not alone:
                return "null"
            case Call() | Text() | str():
                text = self._plain(shape)
                return text if alone else encode_basestring(text)
        return _number(shape, alone=alone)

    def _plain(self, shape: Call | Text | str) -> str:
        if isinstance(shape, str):
            return shape
        if isinstance(shape, Text):
            if shape.bare:
                self.lacks = f"holds what has no text: it is kept as {shape.text[:60]}"
            return shape.text
        words = (f"{key}={self.json(value)}" if key else self.json(value) for key, value in shape.pairs)
        return f"{shape.name}({', '.join(self._until_full(words))})"

    def _mapping(self, pairs: Iterable[tuple[Any, Any]]) -> str:
        named, left = list[tuple[str, Any, Any]](), self._left
        for key, value in pairs:
            named.append((self.text(key), key, value))
            if self.is_full:
                break
        self._left = left  # names count when they are written, beside their values
        if len({name for name, _, _ in named}) < len(named):  # 0 and "0": two keys, and one would hide the other
            return "[" + ",".join(self._each([key, value] for _, key, value in named)) + "]"
        if self._sorted:
            named.sort(key=lambda one: one[0].encode("utf-16-be", "surrogatepass"))
        words = (f"{self._counted(encode_basestring(name))}:{self.json(value)}" for name, _, value in named)
        return "{" + ",".join(self._until_full(words)) + "}"

    def _counted(self, text: str) -> str:
        if self._left is not None:
            self._left -= len(text)
        return text

    def _each(self, items: Iterable[Any]) -> Iterator[str]:
        return self._until_full(self.json(item) for item in items)

    def _until_full(self, texts: Iterable[str]) -> Iterator[str]:
        for text in texts:
            yield text
            if self.is_full:
                return


def _shown_by_itself(value: Any) -> str:
    """Return what a value whose parts cannot be had says of itself: a tensor on a device that is gone."""
    try:
        return without_address(repr(value))
    except Exception:  # noqa: BLE001  what other people's objects raise must not end a training
        return ""


def _number(value: bool | float | None, *, alone: bool) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return _digits(value)
    if alone:
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return f'"{value}"'  # JSON has no NaN; metrics travel with the same words
    return canonical(value).decode()


def _digits(number: int) -> str:
    """Write a whole number, also one of more digits than Python writes by itself."""
    if number.bit_length() < 10_000:
        return str(number)
    # Writing takes the square of the digits; the hexadecimal digits of what is beyond all reason do not.
    return str(Decimal(number)) if number.bit_length() <= LARGEST_BITS else hex(number)


def _order(text: str) -> tuple[bool, float, str]:
    """Sort the members of a set: numbers first, by their size."""
    number = number_in(text)
    return number is None, number or 0.0, text
