"""What pages show of a version at work: counts, errors and latencies, in constant memory."""

import math
from collections.abc import Sequence

import msgspec

from trimtab.serving.records import Stage

BUCKETS_A_DECADE = 40
_LOWEST_S = 1e-6
_DECADES = 8
_SCALE = BUCKETS_A_DECADE / math.log(10)


class Histogram:
    """Durations from a microsecond to 100 s in buckets 6 % wide; quantiles are right to 3 %."""

    def __init__(self) -> None:
        self.n = 0
        self.sum_s = 0.0
        self.max_s = 0.0
        self._counts = [0] * (BUCKETS_A_DECADE * _DECADES)

    def add(self, seconds: float) -> None:
        place = int(math.log(seconds / _LOWEST_S) * _SCALE) if seconds > _LOWEST_S else 0
        self._counts[min(place, len(self._counts) - 1)] += 1
        self.n += 1
        self.sum_s += seconds
        self.max_s = max(self.max_s, seconds)

    @property
    def counts(self) -> list[int]:
        """How many durations lie in each bucket."""
        return list(self._counts)

    def merge(self, counts: Sequence[int], *, sum_s: float, max_s: float) -> None:
        """Add what another histogram has counted."""
        self._counts = [a + b for a, b in zip(self._counts, counts, strict=True)]
        self.n += sum(counts)
        self.sum_s += sum_s
        self.max_s = max(self.max_s, max_s)

    def quantile(self, share: float) -> float | None:
        """Return the duration in seconds below which this share lies.

        None when nothing was added, or the clock stood still meanwhile, as in a replay.
        """
        if not self.max_s:
            return None
        wanted = share * self.n
        for place, count in enumerate(self._counts):
            wanted -= count
            if wanted <= 0 and count:
                middle: float = _LOWEST_S * 10 ** ((place + 0.5) / BUCKETS_A_DECADE)
                return min(middle, self.max_s)
        return self.max_s


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a version did at an endpoint since this process took it up. Latencies are seconds for a whole request.

    For a shadow: ``compared`` rows, the mean absolute difference of its number from the answered one, and the share of
    rows with the same label; ``dropped`` rows it was too slow for, or that did not fit its inputs. Rows that break
    their contract are answered and ``flagged``, or their requests are ``refused``. Those of the ``errors`` whose
    deadline passed are ``late``.
    """

    version: int
    stage: str
    requests: int
    rows: int
    errors: int
    p50_s: float | None
    p95_s: float | None
    p99_s: float | None
    mean_s: float | None
    compared: int = 0
    mean_difference: float | None = None
    same_label: float | None = None
    dropped: int = 0
    flagged: int = 0
    refused: int = 0
    late: int = 0


class Tally:
    """The running figures of one version at one endpoint, in the stage that it is in now."""

    def __init__(self, stage: Stage = "full") -> None:
        self.stage: Stage = stage
        self.rows = 0
        self.errors = 0
        self.latency = Histogram()
        self.compared = 0
        self.difference = 0.0
        self.labelled = 0
        self.same = 0
        self.dropped = 0
        self.flagged = 0
        self.refused = 0
        self.late = 0

    def answered(self, rows: int, seconds: float) -> None:
        self.rows += rows
        self.latency.add(seconds)

    def figures(self, version: int, stage: str) -> Figures:
        times = self.latency
        return Figures(
            version=version, stage=stage, requests=times.n, rows=self.rows, errors=self.errors,
            p50_s=times.quantile(0.50), p95_s=times.quantile(0.95), p99_s=times.quantile(0.99),
            mean_s=times.sum_s / times.n if times.sum_s else None, compared=self.compared,
            mean_difference=self.difference / self.compared if self.compared else None,
            same_label=self.same / self.labelled if self.labelled else None, dropped=self.dropped,
            flagged=self.flagged, refused=self.refused, late=self.late,
        )  # fmt: skip


MIRROR = "mirror"
Tallies = dict[tuple[str, int, str], Tally]
"""By endpoint, version and part: "" for what a version is routed for, ``MIRROR`` for what it sees beside that."""
