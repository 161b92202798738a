"""The verbs in Python: what ``tt.why`` and declared objects answer in the folder that they are used in.

A face beside the command line: the same settings, the same store or server, the same errors. Each call opens the store
(some milliseconds) and closes it again, so that a notebook holds nothing open between two cells.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from trimtab.client import Project, project_of
from trimtab.data import Snapshot, list_sources, load_snapshot
from trimtab.declare import FeatureViewSpec, Label
from trimtab.features import CompiledView, OnlineRow, compile_view, row_with_key, training_frame
from trimtab.governance import Why
from trimtab.governance import why as explain
from trimtab.kernel import Conflict, Invalid, MissingExtra, NotFound, load, parse_time, this_user
from trimtab.loop import model_input, roll_back
from trimtab.registry import ModelMissing, Version, VersionMissing, aliases, all_versions
from trimtab.server import time_of_project
from trimtab.serving import Endpoint

if TYPE_CHECKING:
    import pandas as pd

_KINDS = {"category": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_()}


class NoSnapshot(NotFound):
    """A view is asked for rows of a contract of which no snapshot was ever taken here."""

    code = "notebook.no-snapshot"
    default_why = "Frames are made of snapshots, so that the same question gives the same rows."
    default_next = "trimtab apply, which reads every source"


class Versions(Mapping[int | str, Version]):
    """The versions of a model as they stood when it was asked: by number, or by alias. Iterates over the numbers.

    ``late.versions[1]``, ``late.versions["champion"]``, ``late.versions["latest"]``; ``len``, ``in`` and ``get`` as of
    any mapping.
    """

    def __init__(self, model: str, found: Mapping[int, Version], names: Mapping[str, int]) -> None:
        self._model = model
        self._found = found
        self._names = names
        if found:
            self._names = {"latest": max(found), **names}

    @property
    def aliases(self) -> dict[str, int]:
        """The aliases and the numbers that they name."""
        return {name: number for name, number in self._names.items() if name != "latest"}

    def __getitem__(self, which: int | str) -> Version:
        number = self._names.get(which, 0) if isinstance(which, str) else which
        if number in self._found:
            return self._found[number]
        raise VersionMissing(
            f"{self._model} has no version {which!r}" if self._found else f"{self._model} has no version yet",
            where=f"model {self._model}",
            model=self._model,
            versions=", ".join(map(str, self._found)) or "none",
            aliases=", ".join(self.aliases) or "none",
        )

    def __iter__(self) -> Iterator[int | str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __contains__(self, which: object) -> bool:
        return which in self._found or which in self._names

    def __repr__(self) -> str:
        named = {number: [name for name, at in self.aliases.items() if at == number] for number in self._found}
        lines = [
            f"  {number}  {version.status.value}{''.join(f', {name}' for name in named[number])}"
            for number, version in self._found.items()
        ]
        return "\n".join([f"<versions of {self._model}>", *lines])


def why(decision_id: str) -> Why:
    """Explain one served decision by its id: row, features and ages, model, data, code, evaluation, who approved it.

    Raises ``DecisionUnknown`` when the log does not hold it. Parts that cannot be found, or that fail their
    verification, are named in ``missing``.
    """
    with _opened() as project:
        return project.ask(explain, decision_id)


def training(
    view: FeatureViewSpec,
    *,
    label: Label | None,
    since: date | str | None,
    until: date | str | None,
    known_by: date | str | None,
) -> "pd.DataFrame":
    """Compute a training frame from the newest snapshots: what ``FeatureView.training`` answers with."""
    with _opened() as project:
        compiled = compile_view(view)
        found = _snapshots(project, compiled)
        tables = {contract: project.ask(load_snapshot, snapshot) for contract, snapshot in found.items()}
        frame = training_frame(
            compiled,
            tables,
            label=label,
            since=_moment(since, "since"),
            until=_moment(until, "until"),
            known_by=_moment(known_by, "known_by") or project.ask(time_of_project),
        )
    return _pandas(frame, compiled)


def online(view: FeatureViewSpec, keys: Mapping[str, Any]) -> "pd.DataFrame":
    """Read one row as a served decision would: what ``FeatureView.online`` answers with."""
    with _opened() as project:
        compiled = compile_view(view)
        unknown = sorted(set(keys) - set(compiled.view.of.keys))
        if unknown:
            raise Invalid(
                f"{unknown[0]} is no key of {compiled.view.of.name}",
                where=f"features {view.name}",
                why=f"A row is found by {' and '.join(compiled.view.of.keys)}.",
                next=f"write {view.name}.online({', '.join(f'{key}=...' for key in compiled.view.of.keys)})",
            )
        keys = {name: _scalar(value) for name, value in keys.items()}
        row = project.ask(row_with_key, compiled, keys)
    return _pandas(_table(row, compiled, keys), compiled)


def versions(model: str) -> Versions:
    """Return the versions of a model, none before its first; what ``Model.versions`` answers with."""
    with _opened() as project:
        return versions_of(project, model)


def versions_of(project: Project, model: str) -> Versions:
    """Return the versions of a model of a project, none before its first."""
    try:
        found = list(project.ask(all_versions, model))
    except ModelMissing:
        return Versions(model, {}, {})
    return Versions(model, {version.number: version for version in reversed(found)}, project.ask(aliases, model))


def rollback(model: str, *, because: str) -> Endpoint:
    """Bring the version before the present one back; what ``Model.rollback`` answers with."""
    with _opened() as project:
        return project.ask(roll_back, model, actor=this_user(), because=because)


@contextmanager
def _opened() -> Iterator[Project]:
    """Open the project of this folder's settings, or at the server that they name, for one question."""
    project = project_of(load()[0])
    try:
        yield project
    finally:
        project.close()


def _snapshots(project: Project, compiled: CompiledView) -> dict[str, Snapshot]:
    """Return the newest snapshot of each contract that a view reads. Raises ``NoSnapshot`` or ``Conflict``."""
    sources = project.ask(list_sources)
    found = {}
    for contract in dict.fromkeys([compiled.view.of, *compiled.view.contracts]):
        having = [source for source in sources if source.contract == contract.name]
        if not having:
            raise NoSnapshot(f"there are no rows of {contract.name} here", where=f"features {compiled.view.name}")
        if len(having) > 1:
            raise Conflict(
                f"{len(having)} sources bring rows of {contract.name}: {', '.join(one.source for one in having)}",
                where=f"features {compiled.view.name}",
                why="Several projects share this store, and it is not clear whose rows are meant.",
                next="give each project a home of its own, or each contract its own name",
            )
        found[contract.name] = having[0]
    return found


def _moment(given: object, name: str) -> datetime | None:
    """Return a moment as a person gives it: text, an aware ``datetime``, or a day, which begins at midnight UTC."""
    if given is None or isinstance(given, datetime):
        return given
    if isinstance(given, date):
        return datetime(given.year, given.month, given.day, tzinfo=UTC)
    return parse_time(given if isinstance(given, str) else repr(given), where=name)


def _scalar(value: Any) -> Any:
    """Return a value taken out of a frame as Python holds it: ``int`` for NumPy's ``int64``."""
    return value.item() if isinstance(value, np.generic) else value


def _table(row: OnlineRow, compiled: CompiledView, keys: Mapping[str, Any]) -> pa.Table:
    """Return one online row in the form of a training frame."""
    columns = {f"key_{key}": pa.array([row.request.get(key, keys[key])]) for key in compiled.view.of.keys}
    columns["decided_at"] = pa.array([row.at], pa.timestamp("us", "UTC"))
    for column, value in zip(compiled.columns, row.values, strict=True):
        columns[column.name] = pa.array([value], _KINDS[column.kind])
    return pa.table(columns)


def _pandas(frame: pa.Table, compiled: CompiledView) -> "pd.DataFrame":
    """Return a frame as pandas: keys and moments, the features as a train function gets them, the label at the end."""
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtra("a frame cannot be shown", where="notebook", package="pandas", extra="pandas") from None
    features = model_input(frame, compiled)
    others = frame.drop_columns(list(compiled.names)).to_pandas()
    at_end = [name for name in ("label", "label_known_at", "label_final_at") if name in others]
    whole: pd.DataFrame = pd.concat([others.drop(columns=at_end), features, others[at_end]], axis=1)
    return whole
