"""Ask whether the training frame and the online store give the same values, bit for bit."""

import struct
import tempfile
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from trimtab.features.compile import compile_view
from trimtab.features.materialise import fill
from trimtab.features.online import OnlineStore
from trimtab.features.reading import row_fields
from trimtab.features.records import Agreement, CompiledView, Difference, Scalar, View
from trimtab.features.rows import Ints, Rows, rows_of
from trimtab.features.training import decisions, training_frame, when

_SHOWN = 20


def compare_offline_online(
    view: View,
    tables: Mapping[str, pa.Table],
    *,
    online: OnlineStore | None = None,
    rows: int = 500,
    seed: int = 0,
) -> Agreement:
    """Compare a sample of training rows with online rows at the same moments; return every difference, up to 20.

    With an ``online`` store the sample is drawn from the rows that it can answer exactly: decided between its horizon
    and its last materialisation, from the same tables. Without one, a store is filled from the tables for the purpose
    and every decided row can be drawn. Rows are asked by their own fields, as a request would; the same seed draws
    the same rows.
    """
    compiled = compile_view(view)
    if online is not None:
        return _compare(compiled, tables, online, rows=rows, seed=seed)
    with tempfile.TemporaryDirectory() as folder:
        own = OnlineStore(Path(folder) / "online.db")
        try:
            fill(own, compiled, tables, now=_end_of_time(), horizon=None)
            return _compare(compiled, tables, own, rows=rows, seed=seed)
        finally:
            own.close()


def same_bits(left: Scalar, right: Scalar) -> bool:
    """Say whether two values are the same to the last bit and of the same kind."""
    if isinstance(left, float) and isinstance(right, float):
        return struct.pack("<d", left) == struct.pack("<d", right)
    return type(left) is type(right) and left == right


def _compare(
    compiled: CompiledView, tables: Mapping[str, pa.Table], online: OnlineStore, *, rows: int, seed: int
) -> Agreement:
    spine = rows_of(compiled.view.of, tables)
    moment, chosen = _sample(compiled, spine, online, rows=rows, seed=seed)
    frame = training_frame(compiled, tables).take(pa.array(chosen))
    expected = [frame[name].to_pylist() for name in compiled.names]
    fields = row_fields(compiled)
    requests = [spine.values(field.name).take(pa.array(chosen)).to_pylist() for field in fields]
    differences: list[Difference] = []
    for place, row in enumerate(chosen.tolist()):
        request = {field.name: values[place] for field, values in zip(fields, requests, strict=True)}
        found = online.row(compiled, request, when(int(moment[row])))
        for column, values, value in zip(compiled.names, expected, found.values, strict=True):
            if not same_bits(values[place], value) and len(differences) < _SHOWN:
                differences.append(Difference(row=row, column=column, offline=values[place], online=value))
    return Agreement(rows=len(chosen), columns=len(compiled.columns), differences=tuple(differences))


def _sample(compiled: CompiledView, spine: Rows, online: OnlineStore, *, rows: int, seed: int) -> tuple[Ints, Ints]:
    """Return every row's moment, and the numbers of the sampled rows, in order."""
    moment, decidable = decisions(compiled, spine)
    loaded = online.loaded(compiled)
    if loaded is not None:
        decidable = decidable & (moment <= loaded.materialised)
        if loaded.exact_from is not None:
            decidable &= moment >= loaded.exact_from
    possible = np.flatnonzero(decidable)
    if len(possible) > rows:
        possible = np.sort(np.random.default_rng(seed).choice(possible, rows, replace=False))
    return moment, possible


def _end_of_time() -> datetime:
    return when(253_402_300_799_000_000)
