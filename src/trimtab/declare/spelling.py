"""Say how an expression should have been spelt: names that were meant, and ``|`` where ``or`` stands.

Python gives ``and``, ``or``, ``not``, ``if`` and ``a <= x <= b`` to no object: it asks the object for its truth and
goes on with one of the two. An expression that answered would silently lose a half, so it refuses.
"""

import ast
import linecache
import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from types import FrameType
from typing import NoReturn

from trimtab.declare.mistakes import BadText, NotYesOrNo
from trimtab.declare.places import here, place, users_frame

_OPPOSITE: dict[type[ast.cmpop], str] = {
    ast.Lt: ">=", ast.LtE: ">", ast.Gt: "<=", ast.GtE: "<", ast.Eq: "!=", ast.NotEq: "==",
}  # fmt: skip
_SIGNS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!=",
}  # fmt: skip
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_IN_SOURCE = "calculate it in the source, as one field of type tt.Bool"


def is_name(text: object) -> bool:
    """Say whether a text can name a column or a declaration: a letter, then letters, digits and ``_``."""
    return isinstance(text, str) and _NAME.fullmatch(text) is not None


def said(text: object, word: str, *, most: int = 2000) -> str:
    """Return what an owner, or a description, is said to be. Raises ``BadText`` for what is no text, or is too long."""
    if not isinstance(text, str) or len(text) > most:
        raise BadText(
            f"{word}={text!r} is not a text" if not isinstance(text, str) else f"{word} has {len(text)} characters",
            where=here(),
            why=f"It is shown to people as it stands, in at most {most} characters.",
            next=f'write for example {word}="{"ops-lead" if word == "owner" else "what it is for"}"',
        )
    return text


def closest(word: str, words: Iterable[str]) -> str:
    """Return ``write ...`` with the word that was probably meant; empty when none is near."""
    found = get_close_matches(word, list(words), n=1, cutoff=0.6)
    return f"write {found[0]}" if found else ""


def refuse_truth(expression: object, *, policy: bool) -> NoReturn:
    """Raise ``NotYesOrNo`` with the right spelling, read from the user's line where that can be had.

    ``policy`` expressions are joined by ``|`` and ``&``; columns hold one comparison each.
    """
    frame = users_frame()
    node, line = _misused(frame)
    match node:
        case ast.BoolOp(op=op, values=values):
            word, sign, method = ("or", "|", "any_of") if isinstance(op, ast.Or) else ("and", "&", "all_of")
            joined = f" {sign} ".join(f"({ast.unparse(value)})" for value in values)
            what = f"{word!r} cannot join expressions"
            why = f"Python's {word!r} would keep one side and drop the other without a word."
            next = f"write {joined}, or tt.{method}(...)" if policy else _IN_SOURCE
        case ast.Compare():
            what = f"{ast.unparse(node)} is a chain of comparisons"
            why = "Python turns a chain into 'and', which would drop the first comparison without a word."
            next = f"write {_unchained(node)}" if policy else _IN_SOURCE
        case ast.UnaryOp(operand=operand):
            what = "'not' cannot turn an expression round"
            why = "Python's 'not' asks whether it is true now; it is judged later, when there is something to judge."
            next = f"write {_opposite(operand)}"
        case _:
            what = f"{_short(repr(expression))} is neither true nor false"
            why = "It is an expression, judged later; 'if', 'and', 'or', 'not' and a <= x <= b ask for its truth now."
            next = "join conditions with | and &" if policy else _IN_SOURCE
    raise NotYesOrNo(what, where=place(frame.f_code.co_filename, line), why=why, next=next)


def _misused(frame: FrameType) -> tuple[ast.AST | None, int]:
    """Return the innermost and/or/not/chain of the user's text that asked for a truth, and its line."""
    line, end_line, column, end_column = _position(frame)
    source = "".join(linecache.getlines(frame.f_code.co_filename))
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None, frame.f_lineno
    best: ast.expr | None = None
    for node in ast.walk(tree):
        if not isinstance(node, ast.BoolOp | ast.UnaryOp | ast.Compare):
            continue
        if isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.Not):
            continue
        if isinstance(node, ast.Compare) and len(node.ops) < 2:
            continue
        first, last = (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)
        # Walking goes outside in, so a later node that holds the position is the inner one.
        if first <= (line, column) and (end_line, end_column) <= last and _asks(node, (line, column)):
            best = node
    return best, best.lineno if best is not None else frame.f_lineno


def _asks(node: ast.expr, at: tuple[int, int]) -> bool:
    """Say whether the position belongs to the operator itself and not to a call inside one of its operands."""
    for inner in _operands(node):
        for part in ast.walk(inner):
            if isinstance(part, ast.Lambda | ast.ListComp | ast.GeneratorExp | ast.IfExp):
                first, last = (part.lineno, part.col_offset), (part.end_lineno or 0, part.end_col_offset or 0)
                if first < at < last:
                    return False
    return True


def _operands(node: ast.expr) -> Iterator[ast.expr]:
    match node:
        case ast.BoolOp(values=values):
            yield from values
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Compare(left=left, comparators=comparators):
            yield from (left, *comparators)


def _position(frame: FrameType) -> tuple[int, int, int, int]:
    for index, found in enumerate(frame.f_code.co_positions()):
        if index == frame.f_lasti // 2:
            line, end_line, column, end_column = found
            if line is not None and end_line is not None and column is not None and end_column is not None:
                return line, end_line, column, end_column
    return frame.f_lineno, frame.f_lineno, 0, 0


def _unchained(chain: ast.Compare) -> str:
    parts = [chain.left, *chain.comparators]
    pairs = [
        f"({ast.unparse(left)} {_SIGNS.get(type(op), '?')} {ast.unparse(right)})"
        for left, op, right in zip(parts, chain.ops, parts[1:], strict=False)
    ]
    return " & ".join(pairs)


def _opposite(operand: ast.expr) -> str:
    if isinstance(operand, ast.Compare) and len(operand.ops) == 1 and type(operand.ops[0]) in _OPPOSITE:
        sign = _OPPOSITE[type(operand.ops[0])]
        return f"{ast.unparse(operand.left)} {sign} {ast.unparse(operand.comparators[0])}"
    return "the opposite comparison: < for >=, > for <="


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
