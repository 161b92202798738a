"""Which columns of a window have drifted, with no more false pages than the user asked for.

A change must pass four gates. It is larger than what differs between blocks of the reference (Student's t of each
score, see ``spread.py`` and ``pooling.py``; Bonferroni over the scores of a column, half for where a number lies). It
survives the number of columns (Benjamini and Hochberg). It is rarer than one in as many windows as the user allows one
false page in. And it moves rows enough to matter. Such a change is shown. It pages only where it matters to the
predictions: when they have drifted themselves, or with the columns that the model uses while the predictions drift. A
feature that the model hardly uses pages nobody.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np

from trimtab.kernel import Invalid, percent
from trimtab.monitoring.cells import Array, Cells, Counts, Kind
from trimtab.monitoring.distances import Distances, distances, null_share, shares, unseen_before, usual, valid
from trimtab.monitoring.pooling import pooled
from trimtab.monitoring.reference import Reference, Tally
from trimtab.monitoring.spread import UNSEEN, Spread, Standing, spread_of, stand
from trimtab.monitoring.tails import benjamini_hochberg, chernoff, student

FALSE_PAGES = (1.0, 90.0)
MATTERS = 0.04
"""The share of rows that must lie elsewhere, beyond what chance moves, before a change is worth a word."""
MATTERS_MISSING = 0.01
"""The same for rows that became null or unseen."""
USED = 0.05
"""The influence from which on a column can page."""
KOLMOGOROV = 0.8687
"""Mean of Kolmogorov's distribution: the KS statistic that chance shows, times the root of n."""
MOST_UNNAMED = 0.5
"""The share of rows with values that the reference does not name from which on a category cannot be watched."""
_BEYOND_DOUBT = 0.001
Level = Literal["none", "shown", "page", "unwatched"]
"""``none``: as usual. ``unwatched``: it cannot be watched, so nothing is known, as without rows to compare."""


class NotAWindow(Invalid):
    """Counts that do not fit the reference's cells."""

    code = "monitoring.not-a-window"
    default_why = "A window is counted in the very cells of its reference."
    default_next = "count the window with count_table(reference.columns, rows)"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one column of a window shows, drifted or not. The prediction comes first, under the name ``prediction``."""

    name: str
    kind: Kind
    n: int
    distances: Distances
    usual: Distances
    """What 95 % of the reference's own windows do not exceed."""
    null_before: float
    """Share of nulls in the reference."""
    unseen_before: float
    """Share of unseen values to be expected: those of each block of the reference that no other block holds."""
    effect: float
    """Share of rows that lie elsewhere, beyond what chance moves in a window of this size."""
    influence: float
    """How much the prediction depends on the column, 0 to 1."""
    statistic: str
    """What changed: ``location``, ``spread``, ``skew``, ``tails``, ``mean``, ``nulls``, ``unseen``, or a category."""
    z: float
    """Change of ``statistic`` in units of what differs between windows when nothing is wrong; NaN without rows."""
    p: float
    """Of the column: its least likely score, over that score's share of the column's false findings."""
    adjusted: float
    """``p`` after the number of columns."""
    level: Level
    text: str

    @property
    def weighted(self) -> float:
        """The effect as far as it reaches the predictions."""
        return self.effect * self.influence


class Calibration:
    """How a version's columns vary when nothing is wrong. Made once by ``calibrate``, used for many windows."""

    def __init__(self, reference: Reference, *, span: float, like: "Calibration | None" = None) -> None:
        self.reference = reference
        self.span = span
        cells = (reference.prediction, *reference.columns)
        tallies = (reference.predicted, *reference.tallies)
        scores = [None] * len(cells) if like is None else [spread.scores for _, _, spread in like.columns]
        spreads = pooled([
            spread_of(tally.blocks, one, span=span, scores=chosen)
            for one, tally, chosen in zip(cells, tallies, scores, strict=True)
        ])  # fmt: skip
        self.columns: tuple[tuple[Cells, Tally, Spread], ...] = tuple(zip(cells, tallies, spreads, strict=True))
        self.usual: tuple[Distances, ...] = (
            tuple(
                usual(tally.blocks, one, length=spread.length, partial=tally.partial_blocks)
                for one, tally, spread in self.columns
            )
            if like is None
            else like.usual
        )

    def findings(
        self,
        columns: Mapping[str, Counts],
        prediction: Counts,
        *,
        false_pages: tuple[float, float] = FALSE_PAGES,
        windows_per_day: float = 1.0,
        matters: float = MATTERS,
        partial: Sequence[Array | None] | None = None,
    ) -> tuple[Finding, ...]:
        """Judge one window of about ``span`` blocks: see the function ``findings``."""
        counts = [prediction, *(columns.get(cells.name) for cells in self.reference.columns)]
        judged = [
            _judged(*column, of_blocks, window, moments)
            for column, of_blocks, window, moments in zip(
                self.columns, self.usual, counts, partial or [None] * len(counts), strict=True
            )
        ]
        adjusted = benjamini_hochberg(np.array([finding.p for finding in judged]))
        rate = rate_of(false_pages, windows_per_day)
        drifted = [q <= rate and _matters(one, matters) for q, one in zip(adjusted.tolist(), judged, strict=True)]
        return tuple(
            _settled(
                one, q, level=_level(one, has, predictions=drifted[0]), blind=unwatchable(tally.total, cells, spread)
            )
            for one, q, has, (cells, tally, spread) in zip(
                judged, adjusted.tolist(), drifted, self.columns, strict=True
            )
        )


def calibrate(reference: Reference, *, span: float = 1.0) -> Calibration:
    """Measure how much each column varies between windows of ``span`` blocks of the reference.

    A span below 1 counts as 1. Windows longer than a quarter of the reference are judged as a quarter: fewer than four
    say nothing of how windows vary. With fewer than two blocks nothing can be called unusual, and nothing is.
    """
    return Calibration(reference, span=span)


def findings(
    reference: Reference,
    columns: Mapping[str, Counts],
    prediction: Counts,
    *,
    span: float = 1.0,
    false_pages: tuple[float, float] = FALSE_PAGES,
    windows_per_day: float = 1.0,
    matters: float = MATTERS,
    partial: Sequence[Array | None] | None = None,
) -> tuple[Finding, ...]:
    """Judge a window: the prediction first, then each column of the reference, in its order.

    ``columns`` and ``prediction`` are the window's counts in the reference's cells; a column without counts has no
    rows. ``span`` is the window's length in blocks of the reference. ``false_pages`` is how many false pages the user
    accepts in how many days, ``windows_per_day`` how often a window is judged. ``partial`` are the window's partial
    moments, in the order of the findings, for a Wasserstein distance that is exact. Raises ``NotAWindow``.
    For many windows of one version keep what ``calibrate`` returns.
    """
    return calibrate(reference, span=span).findings(
        columns, prediction, false_pages=false_pages, windows_per_day=windows_per_day, matters=matters, partial=partial
    )


def unwatchable(reference: Counts, cells: Cells, spread: Spread) -> str:
    """Return why no window of a column could show drift; nothing where one can."""
    if not valid(reference, cells).sum():
        return "it has no value in the reference"
    if not (spread.freedom > 0).any():
        return "the reference has too few blocks to say how much they differ"
    names = spread.scores.names
    if len(names) == 1:
        return "its values cannot be told from others"
    unnamed = float(spread.mean[names.index(UNSEEN)]) if cells.unseen is not None else 0.0
    if unnamed > MOST_UNNAMED:
        return f"{percent(unnamed)} of its rows hold values that the reference does not name, as those of an id do"
    return ""


def rate_of(false_pages: tuple[float, float], windows_per_day: float) -> float:
    """Return how often one healthy window may raise an alarm: (1, 90) with a window a day is one in 90."""
    pages, days = false_pages
    if not (pages > 0 and days > 0 and windows_per_day > 0):
        raise NotAWindow(
            f"{pages:g} false pages in {days:g} days, {windows_per_day:g} windows a day",
            where="findings",
            why="An alarm that may never be false can never be raised.",
            next="pass, for example, false_pages=(1, 90) and windows_per_day=1",
        )
    return min(pages / (days * windows_per_day), 0.5)


def _judged(
    cells: Cells, tally: Tally, spread: Spread, of_blocks: Distances, window: Counts | None, partial: Array | None
) -> Finding:
    counts = np.zeros(cells.size, dtype=np.int64) if window is None else window
    if counts.shape != (cells.size,):
        raise NotAWindow(
            f"{cells.name} has {counts.shape} counts for {cells.size} cells", where=f"findings: {cells.name}"
        )
    before = unseen_before(tally.blocks, cells)
    standing = stand(spread, counts)
    p = np.array([_p_of(standing, i, float(spread.freedom[i])) for i in range(len(standing.names))])
    p = np.minimum(p / weights_of(standing.is_share), 1.0)
    first = _named(standing, p)
    return Finding(
        name=cells.name,
        kind=cells.kind,
        n=int(counts.sum()),
        distances=distances(tally.total, counts, cells, unseen=before, partial=(tally.partial_total, partial)),
        usual=of_blocks,
        null_before=null_share(tally.total, cells),
        unseen_before=before,
        effect=_effect(tally.total, counts, cells),
        influence=tally.influence,
        statistic=standing.names[first],
        z=float(standing.z[first]),
        p=float(p.min()),
        adjusted=1.0,
        level="none",
        text=_words(standing, first),
    )


def weights_of(is_share: Sequence[bool]) -> Array:
    """Return what share of a column's false findings each score may have: where a number lies has half of them."""
    n = len(is_share)
    if n < 2 or is_share[0]:
        return np.full(n, 1 / n)
    return np.array([0.5, *[0.5 / (n - 1)] * (n - 1)])


def _named(standing: Standing, p: Array) -> int:
    """Return the score to tell people: of those beyond doubt the plainest of a number; of a category what is new to it,
    then what has changed most.
    """
    sure = np.flatnonzero(p <= _BEYOND_DOUBT)
    if not sure.size:  # of none that had rows is nothing known
        return int(np.argmin(np.where(standing.n > 0, p, np.inf)))
    if not all(standing.is_share):
        return int(sure[0])
    if UNSEEN in standing.names and standing.names.index(UNSEEN) in sure:
        return standing.names.index(UNSEEN)
    return int(sure[np.argmax(np.abs(standing.change[sure]))])


def _p_of(standing: Standing, at: int, freedom: float) -> float:
    n = int(standing.n[at])
    if not n:
        return 1.0
    p = student(float(standing.z[at]), freedom)
    if not standing.is_share[at]:
        return p
    return max(p, chernoff(n, float(standing.share[at]), float(standing.expected[at])))


def _effect(reference: Counts, window: Counts, cells: Cells) -> float:
    """Return KS, or total variation for a category, less what chance alone would show on average."""
    before, counts = valid(reference, cells), valid(window, cells)
    n = int(counts.sum())
    if not n or not before.sum():
        return 0.0
    p, q = shares(before), shares(counts)
    if cells.numeric:
        return max(0.0, float(np.abs(np.cumsum(q - p)).max()) - KOLMOGOROV / math.sqrt(n))
    chance = float(np.sqrt(p * (1 - p) / (2 * math.pi * n)).sum())
    return max(0.0, float(np.abs(q - p).sum() / 2) - chance)


def _matters(finding: Finding, matters: float) -> bool:
    if not finding.n:
        return False
    nulls = abs(finding.distances.null_share - finding.null_before)
    unseen = abs(finding.distances.unseen_share - finding.unseen_before)
    return finding.effect >= matters or max(nulls, unseen) >= MATTERS_MISSING


def _level(finding: Finding, drifted: bool, *, predictions: bool) -> Level:
    if not drifted:
        return "none"
    return "page" if predictions and finding.influence >= USED else "shown"


def _settled(finding: Finding, adjusted: float, *, level: Level, blind: str) -> Finding:
    if level == "none":
        text = f"{finding.name} is as usual"
        if blind or not finding.n:
            level = "unwatched"
            text = f"{finding.name} cannot be watched: {blind}" if blind else f"{finding.name} has no rows"
    else:
        text = f"{finding.name} {finding.text}; {percent(finding.effect)} of the rows lie elsewhere"
        if math.isfinite(finding.usual.psi) and math.isfinite(finding.distances.psi):
            text += f" (PSI {finding.distances.psi:.2f}, usually below {finding.usual.psi:.2f})"
        if finding.influence < USED:
            text += f", but the model hardly uses it (influence {finding.influence:.2f})"
    return msgspec.structs.replace(finding, adjusted=adjusted, level=level, text=text)


def _words(standing: Standing, at: int) -> str:
    name, more = standing.names[at], standing.change[at] > 0
    if standing.is_share[at]:
        words = {"nulls": "is missing", "unseen": "has values that the reference did not name"}.get(name, f"is {name}")
        return f"{words} in {percent(standing.share[at])} of the rows instead of {percent(standing.expected[at])}"
    higher = "is higher than in the reference" if more else "is lower than in the reference"
    return {
        "location": higher,
        "mean": higher,
        "spread": "lies wider than in the reference" if more else "lies closer together than in the reference",
    }.get(name, "is spread in another shape than in the reference")
