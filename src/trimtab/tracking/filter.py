"""The language in which runs are searched: comparisons joined by AND, OR and NOT.

    metrics.auc > 0.7 AND (params.trees = 120 OR NOT tags.team LIKE 'ops%')

A comparison names ``metrics.x``, ``params.y``, ``tags.z`` or an attribute of the run (``attributes.status``, or
``status`` alone); names with other characters stand in quotes or backticks (``metrics."val loss"``). Its operator is
one of ``= != < <= > >= LIKE ILIKE IN``, ``NOT LIKE``, ``NOT ILIKE``, ``NOT IN``, ``IS NULL``, ``IS NOT NULL``. Beside a
number, parameters and tags count as numbers, whole ones to the last digit and fractions as floats; beside a text, as
text. In LIKE, ``%`` is
any text, ``_`` any character, and ``\\`` makes the next character mean itself; ILIKE folds case (see
``trimtab.store.fold``). A comparison with something that the run does not have is false, also with ``!=``; only NOT in
front of it makes it true. So is one with a metric that is NaN: the run has it, and only ``metrics.x = 'nan'`` finds it.
NOT binds tighter than AND, AND tighter than OR.
"""

import re
from typing import Literal, NamedTuple

import msgspec

from trimtab.tracking.errors import FilterProblem
from trimtab.tracking.names import LONGEST_NUMBER

LONGEST = 10_000
DEEPEST = 50
MOST_TERMS = 100

Scope = Literal["metrics", "params", "tags", "attributes"]
Value = float | str | tuple[float | str, ...] | None
"""A number is a float, or an int where a float could not tell it from its neighbours: from 2**53 on."""

_SCOPES: dict[str, Scope] = {
    "metrics": "metrics", "metric": "metrics", "params": "params", "param": "params", "tags": "tags", "tag": "tags",
    "attributes": "attributes", "attribute": "attributes", "attr": "attributes", "run": "attributes",
}  # fmt: skip
_KEYWORDS = frozenset({"and", "or", "not", "like", "ilike", "in", "is", "null", "asc", "desc"})
_TOKEN = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>[-+]?(?:\d+\.?\d*|(?<!\w)\.\d+)(?:[eE][-+]?\d+)?(?![\w.]))
      | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`)
      | (?P<op><=|>=|!=|<>|==|=|<|>)
      | (?P<mark>[(),.])
      | (?P<word>[A-Za-z_][\w\-/]*)
    """,
    re.VERBOSE,
)


class Term(msgspec.Struct, frozen=True):
    """One comparison. ``op`` ``null`` asks whether there is nothing; ``at`` is its place in the text, from 0."""

    scope: Scope
    key: str
    op: Literal["=", "!=", "<", "<=", ">", ">=", "like", "ilike", "in", "not like", "not ilike", "not in", "null"]
    value: Value
    at: int


class Not(msgspec.Struct, frozen=True):
    part: "Expression"


class And(msgspec.Struct, frozen=True):
    parts: tuple["Expression", ...]


class Or(msgspec.Struct, frozen=True):
    parts: tuple["Expression", ...]


Expression = Term | Not | And | Or


class OrderKey(msgspec.Struct, frozen=True):
    """One thing to sort by; NaN comes after every number, and what a run does not have last, either way."""

    scope: Scope
    key: str
    descending: bool


class _Token(NamedTuple):
    kind: Literal["number", "text", "op", "mark", "word", "end"]
    text: str
    at: int


def parse_filter(text: str) -> Expression | None:
    """Read a filter; None for an empty one. Raises ``FilterProblem`` with the place of the mistake."""
    parser = _Parser(text)
    if parser.peek().kind == "end":
        return None
    found = parser.either()
    parser.expect_end()
    return found


def parse_order(text: str) -> OrderKey:
    """Read one sort key, such as ``metrics.auc DESC``."""
    parser = _Parser(text)
    scope, key, _ = parser.subject()
    word = parser.peek()
    descending = word.kind == "word" and word.text.lower() == "desc"
    if word.kind == "word" and word.text.lower() in ("asc", "desc"):
        parser.take()
    parser.expect_end()
    return OrderKey(scope, key, descending)


class _Parser:
    def __init__(self, text: str) -> None:
        self._source = text
        self._tokens = self._split(text)
        self._next = 0
        self._depth = 0
        self._terms = 0

    def peek(self) -> _Token:
        return self._tokens[self._next]

    def take(self) -> _Token:
        token = self._tokens[self._next]
        self._next += token.kind != "end"
        return token

    def expect_end(self) -> None:
        token = self.peek()
        if token.kind != "end":
            raise self._problem(f"AND, OR or the end was expected, not {token.text!r}", token.at)

    def either(self) -> Expression:
        parts = [self._both()]
        while self._word("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _both(self) -> Expression:
        parts = [self._negated()]
        while self._word("and"):
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _negated(self) -> Expression:
        at = self.peek().at
        self._depth += 1
        if self._depth > DEEPEST:
            raise self._problem(f"there are more than {DEEPEST} levels of parentheses and NOT", at)
        try:
            if self._word("not"):
                return Not(self._negated())
            if self._mark("("):
                inside = self.either()
                if not self._mark(")"):
                    raise self._problem(f"the parenthesis of character {at + 1} is not closed", self.peek().at)
                return inside
            return self._term()
        finally:
            self._depth -= 1

    def _term(self) -> Expression:
        self._terms += 1
        scope, key, at = self.subject()
        if self._terms > MOST_TERMS:
            raise self._problem(f"there are more than {MOST_TERMS} comparisons", at)
        token = self.take()
        word = token.text.lower() if token.kind == "word" else ""
        if word == "is":
            negative = self._word("not")
            if not self._word("null"):
                raise self._problem("NULL was expected after IS", self.peek().at)
            term = Term(scope, key, "null", None, at)
            return Not(term) if negative else term
        negative = word == "not"
        if negative:
            token = self.take()
            word = token.text.lower() if token.kind == "word" else ""
        if word == "in":
            return Term(scope, key, "not in" if negative else "in", self._list(), at)
        if word in ("like", "ilike"):
            pattern = self._value()
            if not isinstance(pattern, str):
                raise self._problem(f"{word.upper()} compares with a text in quotes", self._tokens[self._next - 1].at)
            name: Literal["like", "ilike"] = "like" if word == "like" else "ilike"
            return Term(scope, key, f"not {name}" if negative else name, pattern, at)  # type: ignore[arg-type]
        if token.kind != "op" or negative:
            found = repr(token.text) if token.kind != "end" else "the end"
            raise self._problem(f"a comparison (=, !=, <, >, LIKE, IN, IS NULL) was expected, not {found}", token.at)
        op = {"==": "=", "<>": "!="}.get(token.text, token.text)
        return Term(scope, key, op, self._value(), at)  # type: ignore[arg-type]

    def subject(self) -> tuple[Scope, str, int]:
        """Read what is compared: ``metrics.x``, or an attribute by its own name."""
        token = self.take()
        if token.kind != "word" or token.text.lower() in _KEYWORDS:
            found = repr(token.text) if token.kind != "end" else "the end"
            raise self._problem(f"metrics.x, params.y, tags.z or an attribute was expected, not {found}", token.at)
        if not self._mark("."):
            return "attributes", token.text, token.at
        scope = _SCOPES.get(token.text.lower())
        if scope is None:
            raise self._problem(f"there is no {token.text!r}: use metrics, params, tags or attributes", token.at)
        parts = [self._key_part()]
        # Keys may hold dots: params.model.depth is the parameter model.depth.
        while self._mark("."):
            parts.append(self._key_part())
        return scope, ".".join(parts), token.at

    def _key_part(self) -> str:
        token = self.take()
        if token.kind == "text":
            return _unquoted(token.text)
        if token.kind in ("word", "number"):
            return token.text
        raise self._problem("a name was expected after the dot", token.at)

    def _value(self) -> float | str:
        token = self.take()
        if token.kind == "number":
            number = float(token.text)
            is_large = abs(number) >= 2**53 and token.text.lstrip("+-").isdigit() and len(token.text) <= LONGEST_NUMBER
            return int(token.text) if is_large else number
        if token.kind == "text" and token.text[0] != "`":
            return self._text(token)
        if token.kind == "word" and token.text.lower() not in _KEYWORDS:
            raise self._problem(f"a number or a text in quotes was expected: write '{token.text}'", token.at)
        found = repr(token.text) if token.kind != "end" else "the end"
        raise self._problem(f"a number or a text in quotes was expected, not {found}", token.at)

    def _list(self) -> tuple[float | str, ...]:
        if not self._mark("("):
            raise self._problem("a list such as ('a', 'b') was expected after IN", self.peek().at)
        values = [self._value()]
        while self._mark(","):
            values.append(self._value())
        if not self._mark(")"):
            raise self._problem("the list is not closed", self.peek().at)
        return tuple(values)

    def _text(self, token: _Token) -> str:
        text = _unquoted(token.text)
        if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise self._problem("the text holds a character that no run can have", token.at)
        return text

    def _word(self, word: str) -> bool:
        token = self.peek()
        found = token.kind == "word" and token.text.lower() == word
        self._next += found
        return found

    def _mark(self, mark: str) -> bool:
        token = self.peek()
        found = token.kind == "mark" and token.text == mark
        self._next += found
        return found

    def _split(self, text: str) -> list[_Token]:
        if len(text) > LONGEST:
            raise self._problem(f"the filter has {len(text)} characters, at most {LONGEST} are read", LONGEST)
        tokens: list[_Token] = []
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                unclosed = text[at] in "'\"`"
                raise self._problem(
                    f"the quote {text[at]} is not closed" if unclosed else f"{text[at]!r} has no meaning here", at
                )
            if match.lastgroup != "space":
                tokens.append(_Token(match.lastgroup, match.group(), at))  # type: ignore[arg-type]
            at = match.end()
        tokens.append(_Token("end", "", at))
        return tokens

    def _problem(self, what: str, at: int) -> FilterProblem:
        return problem_at(self._source, what, at)


def problem_at(source: str, what: str, at: int) -> FilterProblem:
    """Return the error of a mistake at one character of a filter, with its surroundings."""
    before, after = source[max(0, at - 40) : at], source[at : at + 20]
    shown = ("…" if at > 40 else "") + before + "▸" + after + ("…" if len(source) > at + 20 else "")
    return FilterProblem(f"{what}: {shown}", where=f"filter, character {at + 1}", position=at)


def _unquoted(text: str) -> str:
    quote = text[0]
    return text[1:-1] if quote == "`" else text[1:-1].replace(quote * 2, quote)
