"""Runs and experiments."""

import math
from collections.abc import Sequence
from typing import Any

from trimtab.cli.nouns import past
from trimtab.cli.nouns.noun import Asked, Noun, missing
from trimtab.cli.output import Column, columns_of, text_of
from trimtab.cli.session import Session
from trimtab.kernel import is_id
from trimtab.tracking import Measured, Run, get_run, list_experiments, search_runs

METRICS_SHOWN = 4


def _runs(session: Session, asked: Asked) -> Any:
    if is_id(asked.name):
        return session.ask(get_run, asked.name)
    found = session.ask(
        search_runs, asked.filter, order_by=asked.order_by, experiment=asked.name or None, limit=asked.limit
    )
    return list(found.items)


def _experiments(session: Session, asked: Asked) -> Any:
    found = session.ask(list_experiments)
    named = [one for one in found if asked.name in ("", one.name, one.id)]
    if asked.name and not named:
        raise missing("experiments", asked.name, why="An experiment begins with its first run, and none has this name.")
    return named


def _metrics(run: Run) -> str:
    """Return the first metrics by name, and how many others there are."""
    shown = [f"{key} {text_of(_number(found))}" for key, found in sorted(run.metrics.items())[:METRICS_SHOWN]]
    left = len(run.metrics) - len(shown)
    return ", ".join([*shown, *([f"and {left} more"] if left else [])])


def _number(found: Measured) -> float:
    return math.nan if found.value is None else found.value


def _run_columns(found: Sequence[Run]) -> list[Column]:
    """Return the columns of the CSV: one for each metric and each param that any of the runs has."""
    return [
        Column("RUN", lambda r: r.id), Column("NAME", lambda r: r.name), Column("EXPERIMENT", lambda r: r.experiment),
        Column("STATUS", lambda r: r.status.value), Column("STARTED", lambda r: r.started_at),
        Column("SECONDS", lambda r: r.duration_s), Column("BY", lambda r: r.actor),
        *columns_of(found, lambda r: r.params, "params"),
        *columns_of(found, lambda r: {key: _number(measured) for key, measured in r.metrics.items()}, "metrics"),
    ]  # fmt: skip


def _facts(run: Run) -> list[tuple[str, Any]]:
    return [
        ("run", run.id), ("name", run.name or "-"), ("experiment", run.experiment), ("status", run.status.value),
        ("by", run.actor), ("started", run.started_at),
        ("seconds", run.duration_s),
        ("params", "\n".join(f"{key} = {value}" for key, value in sorted(run.params.items())) or "-"),
        ("metrics", "\n".join(f"{key} = {_number(found)}" for key, found in sorted(run.metrics.items())) or "-"),
        ("data", "\n".join(f"{link.role} {link.name} {link.digest}" for link in run.datasets) or "-"),
        ("tags", "\n".join(f"{key} = {value}" for key, value in sorted(run.tags.items())) or "-"),
        ("error", run.error or "-"),
    ]  # fmt: skip


_EMPTY = """No run yet. Two lines record one:
  with tt.run("first try") as run:
      run.log_model(model, sample=X)"""

NOUNS = {
    "runs": Noun(
        find=_runs,
        takes=frozenset({"filter", "order_by"}),
        csv_columns=_run_columns,
        columns=[
            Column("RUN", lambda r: r.id), Column("NAME", lambda r: r.name or None),
            Column("EXPERIMENT", lambda r: r.experiment), Column("STATUS", lambda r: r.status.value),
            Column("STARTED", lambda r: r.started_at), Column("METRICS", _metrics), Column("BY", lambda r: r.actor),
        ],
        empty=_EMPTY,
        facts=_facts,
    ),
    "experiments": Noun(
        find=_experiments,
        columns=[
            Column("EXPERIMENT", lambda e: e.name), Column("CREATED", lambda e: e.created_at),
            Column("BY", lambda e: e.created_by), Column("ID", lambda e: e.id),
        ],
        empty="No experiment yet; the first run makes one.",
        past=past.experiments,
    ),
}  # fmt: skip
