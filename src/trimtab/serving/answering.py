"""Turn predictions into answers: written to the decision log first, in one write for all that ran together."""

from collections.abc import Sequence
from typing import Any

import msgspec

from trimtab.kernel import Clock, TrimtabError
from trimtab.serving.batching import Job
from trimtab.serving.errors import DeadlinePassed, NotRecorded
from trimtab.serving.frames import Entry, Layout
from trimtab.serving.inputs import Given
from trimtab.serving.log import DecisionLog
from trimtab.serving.records import Stage
from trimtab.serving.runtimes import Outputs, lists_of
from trimtab.serving.statistics import Tally


class Turn(msgspec.Struct, eq=False):
    """One request's rows for one version, on their way: who asked for what, when, and why this version answers."""

    ids: list[str]
    given: Given
    reason: str
    at_us: int
    started: float
    mirrors: list[str] | None = None


class Recorder:
    """Writes the decisions of one version at one endpoint, then lets their answers go."""

    def __init__(
        self, endpoint: str, layout: Layout, *, stage: Stage, log: DecisionLog, clock: Clock, tally: Tally
    ) -> None:
        self._endpoint = endpoint
        self._layout = layout
        self._outputs = [name for name, _ in layout.outputs]
        self._stage = stage
        self._log = log
        self._clock = clock
        self._tally = tally

    def deliver(
        self, jobs: Sequence[Job], outputs: Sequence[Outputs | TrimtabError]
    ) -> Sequence[dict[str, list[Any]] | TrimtabError]:
        """Log what was predicted and return it, output by output, as plain lists; a failure stays a failure."""
        now = self._clock.monotonic()
        results: list[dict[str, list[Any]] | TrimtabError] = []
        entries: list[tuple[Layout, Entry]] = []
        for job, predicted in zip(jobs, outputs, strict=True):
            if isinstance(predicted, TrimtabError):
                self._tally.errors += 1
                self._tally.late += isinstance(predicted, DeadlinePassed)
                results.append(predicted)
                continue
            lists = lists_of(predicted)
            results.append(lists)
            entries.append((self._layout, self._entry(job.carry, lists, now)))
        if entries:
            try:
                self._log.write(self._endpoint, entries)
            except NotRecorded as error:
                self._tally.errors += len(entries)
                return [error if not isinstance(result, TrimtabError) else result for result in results]
        for job, result in zip(jobs, results, strict=True):
            if not isinstance(result, TrimtabError):
                self._tally.answered(len(job.rows), now - job.carry.started)
                if job.carry.given.broken is not None:
                    self._tally.flagged += sum(row is not None for row in job.carry.given.broken)
        return results

    def _entry(self, turn: Turn, lists: dict[str, list[Any]], now: float) -> Entry:
        given = turn.given
        return Entry(
            layout=0,
            at_us=turn.at_us,
            source=given.source,
            stage=self._stage,
            reason=turn.reason,
            latency_us=int((now - turn.started) * 1e6),
            ids=turn.ids,
            values=given.rows.values,  # type: ignore[arg-type]
            outputs=[lists[name] for name in self._outputs],
            keys=given.keys,
            ages_s=given.ages_s,
            as_of_us=given.as_of_us,
            mirrors=turn.mirrors,
            broken=given.broken,
        )
