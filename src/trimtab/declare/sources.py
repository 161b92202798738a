"""Sources: where a contract's rows come from."""

import inspect
from collections.abc import Callable
from functools import update_wrapper
from os import PathLike
from typing import Any, Generic, ParamSpec, TypeVar, overload

from trimtab.declare.code import code_digest
from trimtab.declare.contracts import Contract, contract_of
from trimtab.declare.durations import DurationLike, seconds_of
from trimtab.declare.mistakes import BadSource
from trimtab.declare.places import here
from trimtab.declare.records import ContractSpec, SourceSpec
from trimtab.declare.registry import note
from trimtab.declare.render import quoted
from trimtab.declare.spelling import is_name
from trimtab.kernel import digest_of

P = ParamSpec("P")
R = TypeVar("R")


class Source(Generic[P, R]):
    """A declared source. One made of a function is still that function: ``flights()`` gives its rows."""

    def __init__(self, spec: SourceSpec, function: Callable[P, R] | None) -> None:
        self._spec = spec
        self._function = function
        if function is not None:
            update_wrapper(self, function)
        note(self)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        if self._function is None:
            raise BadSource(
                f"source {self.name} is no function",
                where=here(),
                why="Its rows are read from a file or by a query.",
                next=f"write trimtab data show {self.name}",
            )
        return self._function(*args, **kwargs)

    @property
    def name(self) -> str:
        return self._spec.name

    @property
    def spec(self) -> SourceSpec:
        """The source as a frozen value."""
        text = self._spec.sql or self._spec.path or ""
        code = code_digest(self._function) if self._function is not None else digest_of(text)
        return SourceSpec(
            name=self._spec.name, contract=self._spec.contract, function=self._spec.function, path=self._spec.path,
            sql=self._spec.sql, every_s=self._spec.every_s, set_aside_limit=self._spec.set_aside_limit, code=code,
            where=self._spec.where,
        )  # fmt: skip

    def __repr__(self) -> str:
        spec = self._spec
        parts = [spec.contract.name]
        parts += [f"path={quoted(spec.path)}"] if spec.path else []
        parts += [f"sql={quoted(spec.sql)}"] if spec.sql else []
        return f"<source {spec.name}: tt.source({', '.join(parts)})>"


class SourceDecorator:
    """What ``@tt.source(...)`` is before it meets its function."""

    def __init__(self, contract: ContractSpec, *, name: str, every_s: float | None, limit: float, where: str) -> None:
        self._contract = contract
        self._name = name
        self._every_s = every_s
        self._limit = limit
        self._where = where

    def __call__(self, function: Callable[P, R]) -> Source[P, R]:
        own = getattr(function, "__name__", "")
        if not callable(function) or isinstance(function, type | Source) or not is_name(own):
            raise BadSource(
                f"@tt.source({self._contract.name}) stands above {function!r}",
                where=self._where,
                why="A source is a named function of the project's file that returns a frame.",
                next="write def flights(): ... below it",
            )
        needed = [
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.default is parameter.empty
            and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
        if needed:
            raise BadSource(
                f"source {own} needs {', '.join(needed)}",
                where=self._where,
                why="Trimtab calls a source with no arguments.",
                next=f"give {needed[0]} a default, or read it inside {own}",
            )
        spec = SourceSpec(
            name=self._name or own, contract=self._contract, function=own, every_s=self._every_s,
            set_aside_limit=self._limit, where=self._where,
        )  # fmt: skip
        return Source(spec, function)

    def __repr__(self) -> str:
        return f"@tt.source({self._contract.name})"


@overload
def source(
    contract: type[Contract], /, *, every: DurationLike | None = None, set_aside: float = 0.01, name: str = ""
) -> SourceDecorator: ...
@overload
def source(
    contract: type[Contract],
    /,
    *,
    path: str | PathLike[str],
    every: DurationLike | None = None,
    set_aside: float = 0.01,
    name: str = "",
) -> Source[[], Any]: ...
@overload
def source(
    contract: type[Contract], /, *, sql: str, every: DurationLike | None = None, set_aside: float = 0.01, name: str = ""
) -> Source[[], Any]: ...
def source(
    contract: type[Contract], /, *, path: str | PathLike[str] | None = None, sql: str | None = None,
    every: DurationLike | None = None, set_aside: float = 0.01, name: str = "",
) -> "SourceDecorator | Source[[], Any]":  # fmt: skip
    """Say where a contract's rows come from: a function below it, a file, or a SQL query on DuckDB.

    ``every`` is how often it is read anew. ``set_aside`` is the largest share of rows that may break the contract
    before the whole reading is refused. The name is the function's, else the contract's in small letters. Raises
    ``BadSource``.
    """
    spec = contract_of(contract)
    where = here()
    if path is not None and sql is not None:
        raise BadSource(
            f"the source of {spec.name} has a path and a query",
            where=where,
            why="Its rows come from one place.",
            next="write path=... or sql=..., and use the file's name inside the query",
        )
    path = str(path) if isinstance(path, PathLike) else path
    for word, text in (("path", path), ("sql", sql)):
        if text is not None and (not isinstance(text, str) or not text.strip()):
            raise BadSource(
                f"{word}={text!r} says nothing",
                where=where,
                why=f"A source needs the {'path of a file' if word == 'path' else 'text of a query'}.",
                next='write for example path="flights.parquet"' if word == "path" else 'write sql="SELECT ..."',
            )
    if isinstance(set_aside, bool) or not isinstance(set_aside, int | float) or not 0 <= set_aside <= 1:
        raise BadSource(
            f"set_aside={set_aside!r} is not a share",
            where=where,
            why="It is the largest share of rows that may break the contract, between 0 and 1.",
            next="write for example set_aside=0.01",
        )
    if name and not is_name(name):
        raise BadSource(
            f"{name!r} cannot name a source",
            where=where,
            why="A name starts with a letter and holds letters, digits and _.",
            next='write for example name="flights"',
        )
    every_s = None if every is None else seconds_of(every, what="every")
    if path is None and sql is None:
        return SourceDecorator(spec, name=name, every_s=every_s, limit=float(set_aside), where=where)
    read = SourceSpec(
        name=name or spec.name.lower(), contract=spec, path=path, sql=sql, every_s=every_s,
        set_aside_limit=float(set_aside), where=where,
    )  # fmt: skip
    return Source(read, None)
