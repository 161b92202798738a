"""How far what a version sees, and what it says, lie from its reference: merged hours against the reference's cells."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import msgspec
import numpy as np

from trimtab.monitoring.calibration import FALSE_PAGES, Calibration, Finding, calibrate
from trimtab.monitoring.cells import Array, Cells, Counts, Kind
from trimtab.monitoring.distances import distances, null_share, unseen_before
from trimtab.monitoring.kept import Kept, kept_references
from trimtab.monitoring.moments import HOUR_US, check_span
from trimtab.monitoring.reference import Reference, Tally
from trimtab.monitoring.windows import layout, merged
from trimtab.store import Store

_REMEMBERED = 16
_calibrated: dict[tuple[str, float], Calibration] = {}
"""By digest of the reference and span in blocks; it takes far longer to make than to use."""


class ColumnDrift(msgspec.Struct, frozen=True, kw_only=True):
    """One column of a window against the reference. None where it is not defined: no rows, or no number.

    ``w1`` is in the column's units. ``null_before`` is the share in the reference, ``unseen_before`` that of values
    which each of its blocks holds and no other block does. ``influence`` is how much the prediction depends on the
    column, 0 to 1.
    """

    name: str
    kind: Kind
    n: int
    psi: float | None
    js: float | None
    ks: float | None
    w1: float | None
    null_share: float | None
    null_before: float | None
    unseen_share: float | None
    unseen_before: float | None
    influence: float


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """The decisions of [since, until), in whole hours, against the reference of their version."""

    endpoint: str
    version: int
    since: datetime
    until: datetime
    reference: str
    n: int
    of_prediction: ColumnDrift
    columns: tuple[ColumnDrift, ...]

    def column(self, name: str) -> ColumnDrift | None:
        """Return a column by its name; None when the reference does not hold it."""
        return next((one for one in self.columns if one.name == name), None)


class _Window(msgspec.Struct, eq=False):
    kept: Kept
    rows: int
    counts: tuple[Counts, ...]
    partial: tuple[Array | None, ...]
    """Both parallel to ``layout``."""


def drift(
    store: Store,
    endpoint: str,
    *,
    version: int,
    since: datetime,
    until: datetime,
    model: str = "",
    columns: Collection[str] | None = None,
) -> Drift | None:
    """Return how far a version's decisions of [since, until) lie from its reference; None when it has none.

    Counts are of whole hours, those that ``since`` and ``until`` lie in included, by ``Decision.as_of``; decisions that
    were taken before the reference was kept are not among them. ``model`` is by default the endpoint's name,
    ``columns`` (besides the prediction) every column of the reference. Raises ``BadSpan``.
    """
    window = _window(store, endpoint, version, since, until, model)
    if window is None:
        return None
    reference = window.kept.reference
    found = [
        _column(cells, tally, counts, partial)
        for cells, tally, counts, partial in zip(
            layout(reference), _tallies(reference), window.counts, window.partial, strict=True
        )
        if columns is None or cells is reference.prediction or cells.name in columns
    ]
    return Drift(
        endpoint=endpoint, version=version, since=since, until=until, reference=window.kept.digest, n=window.rows,
        of_prediction=found[-1], columns=tuple(found[:-1]),
    )  # fmt: skip


def drift_findings(
    store: Store,
    endpoint: str,
    *,
    version: int,
    since: datetime,
    until: datetime,
    model: str = "",
    false_pages: tuple[float, float] = FALSE_PAGES,
    windows_per_day: float = 1.0,
) -> tuple[Finding, ...]:
    """Judge the same window: the prediction first, then each column; nothing when the version has no reference.

    ``false_pages`` is how many false pages are accepted in how many days, ``windows_per_day`` how often a window is
    judged. Raises ``BadSpan``.
    """
    window = _window(store, endpoint, version, since, until, model)
    if window is None or not window.rows:
        return ()
    blocks = round(max(1.0, (until - since) / timedelta(seconds=window.kept.reference.block_s)), 2)
    columns: Mapping[str, Counts] = {
        cells.name: counts for cells, counts in zip(window.kept.reference.columns, window.counts[:-1], strict=True)
    }
    return _calibration(window.kept, blocks).findings(
        columns, window.counts[-1], false_pages=false_pages, windows_per_day=windows_per_day,
        partial=(window.partial[-1], *window.partial[:-1]),
    )  # fmt: skip


def _window(store: Store, endpoint: str, version: int, since: datetime, until: datetime, model: str) -> _Window | None:
    since_us, until_us = check_span(since, until, where="drift")
    kept = kept_references(store, {(model or endpoint, version)}).get((model or endpoint, version))
    if kept is None:
        return None
    cells = layout(kept.reference)
    ends = np.cumsum([one.size for one in cells])
    found = merged(
        store, endpoint, version=version, reference=kept.digest, size=int(ends[-1]),
        hours=range(since_us // HOUR_US, -(-until_us // HOUR_US)),
    )  # fmt: skip
    partial = tuple([None] * len(cells) if found.partial is None else found.partial)
    return _Window(kept, found.rows, tuple(np.split(found.counts, ends[:-1])), partial)


def _tallies(reference: Reference) -> tuple[Tally, ...]:
    return (*reference.tallies, reference.predicted)


def _column(cells: Cells, tally: Tally, counts: Counts, partial: Array | None) -> ColumnDrift:
    before = unseen_before(tally.blocks, cells)
    found = distances(tally.total, counts, cells, unseen=before, partial=(tally.partial_total, partial))
    return ColumnDrift(
        name=cells.name, kind=cells.kind, n=found.n, psi=_number(found.psi), js=_number(found.js),
        ks=_number(found.ks), w1=_number(found.w1), null_share=_number(found.null_share),
        null_before=_number(null_share(tally.total, cells)), unseen_share=_number(found.unseen_share),
        unseen_before=_number(before), influence=tally.influence,
    )  # fmt: skip


def _number(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _calibration(kept: Kept, blocks: float) -> Calibration:
    name = (kept.digest, blocks)
    found = _calibrated.get(name)
    if found is None:
        found = calibrate(kept.reference, span=blocks)
        while len(_calibrated) >= _REMEMBERED:
            _calibrated.pop(next(iter(_calibrated)))
        _calibrated[name] = found
    return found
