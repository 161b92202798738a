"""Training frames and online rows against the plain-Python reference, on generated nasty cases, bit for bit."""

import os
import random
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.features import nasty, oracle

from trimtab.declare import FeatureViewSpec
from trimtab.features import OnlineStore, add_facts, compile_view, fill, training_frame
from trimtab.features.agree import same_bits

HOURS = timedelta(hours=1)
# The same cases on every run; a larger TRIMTAB_TEST_EXAMPLES looks at that many times more, other ones each time.
TIMES = int(os.environ.get("TRIMTAB_TEST_EXAMPLES", "1"))
cases = settings(
    derandomize=TIMES == 1,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
tables = st.fixed_dictionaries(
    {
        "Order": st.one_of(st.lists(nasty.orders, max_size=3), st.lists(nasty.orders, min_size=6, max_size=14)),
        "Stock": st.one_of(st.lists(nasty.stocks, max_size=3), st.lists(nasty.stocks, min_size=8, max_size=20)),
    }
)
Rows = dict[str, list[dict[str, Any]]]


@settings(cases, max_examples=150 * TIMES)
@given(nasty.views(), tables, st.integers(0, 2), st.none() | nasty.times(absent=False))
def test_a_training_frame_is_what_the_oracle_says(
    view: FeatureViewSpec, rows: Rows, layout: int, known_by: Any
) -> None:
    frame = training_frame(view, nasty.tables_of(rows, layout), label=nasty.LABEL, known_by=known_by)

    assert frame["key_id"].to_pylist() == [row["id"] for row in rows["Order"]]
    moments = [oracle.decided_at(view, row) for row in rows["Order"]]
    assert frame["decided_at"].to_pylist() == moments
    expected = [
        oracle.features(view, rows, row, at, known_by=known_by) for row, at in zip(rows["Order"], moments, strict=True)
    ]
    assert_same(columns_of(view, frame), expected, view)
    labels = [oracle.label_of(view, row, nasty.LABEL, known_by=known_by) for row in rows["Order"]]
    assert frame["label"].to_pylist() == [label for label, _ in labels]
    assert frame["label_known_at"].to_pylist() == [known for _, known in labels]


@settings(cases, max_examples=70 * TIMES)
@given(
    nasty.views(), tables, st.lists(nasty.times(absent=False), min_size=1, max_size=4), st.sampled_from([None, 2, 0])
)
def test_an_online_row_is_what_the_oracle_says(view: FeatureViewSpec, rows: Rows, nows: Any, horizon: Any) -> None:
    """However the store came to its state: filled at once or in steps of time."""
    keep = None if horizon is None else horizon * HOURS
    nows = sorted(nows)
    with TemporaryDirectory() as folder:
        online = OnlineStore(Path(folder) / "online.db")
        for now in nows:
            fill(online, view, nasty.tables_of(rows), now=now, horizon=keep)
        assert_online(online, view, rows, from_=None if keep is None else nows[-1] - keep, now=nows[-1])
        online.close()


@settings(cases, max_examples=30 * TIMES)
@given(nasty.views(), tables, st.randoms(use_true_random=False), nasty.times(absent=False))
def test_the_order_in_which_facts_arrive_does_not_matter(
    view: FeatureViewSpec, rows: Rows, dice: random.Random, now: Any
) -> None:
    """The newer fact wins: single facts in any order read as the whole table does."""
    with TemporaryDirectory() as folder:
        online = OnlineStore(Path(folder) / "online.db")
        nothing = {name: table.slice(0, 0) for name, table in nasty.tables_of(rows).items()}
        fill(online, view, nothing, now=now, horizon=2 * HOURS)
        for name, table in nasty.tables_of(rows).items():
            places = list(range(table.num_rows))
            dice.shuffle(places)
            for place in places:
                add_facts(online, view, name, table.slice(place, 1), first_row=place)
        assert_online(online, view, rows, from_=now - 2 * HOURS, now=None)
        online.close()


@settings(cases, max_examples=40 * TIMES)
@given(nasty.views(), tables, tables, nasty.times(absent=False), nasty.times(absent=False))
def test_grown_or_changed_tables_read_as_if_filled_anew(
    view: FeatureViewSpec, rows: Rows, more: Rows, first: Any, second: Any
) -> None:
    grown = {name: rows[name] + more[name] for name in rows}
    changed = {name: more[name][::-1] + rows[name][1:] for name in rows}
    first, second = sorted([first, second])
    with TemporaryDirectory() as folder:
        online = OnlineStore(Path(folder) / "online.db")
        for now, state in ((first, rows), (second, grown), (second, changed)):
            fill(online, view, nasty.tables_of(state), now=now, horizon=2 * HOURS)
            assert_online(online, view, state, from_=now - 2 * HOURS, now=now)
        online.close()


def assert_online(online: OnlineStore, view: FeatureViewSpec, rows: Rows, *, from_: Any, now: Any) -> None:
    """Compare online rows with the oracle at each row's own moment, where the store promises to be exact.

    Read one by one, and by key in one state of the store, where rows share what was looked up for others.
    """
    compiled = compile_view(view)
    got, expected = [], []
    with online.reading(compiled) as shared:
        for row in rows["Order"]:
            at = oracle.decided_at(view, row)
            if at is None or (
                compiled.parts and ((from_ is not None and at < from_) or (now is not None and at > now))
            ):
                continue
            got.append(list(online.row(compiled, row, at).values))
            expected.append(oracle.features(view, rows, row, at))
            by_key = shared.read({"id": row["id"]}, at)
            newest = newest_row(rows["Order"], row["id"])
            got.append(list(by_key.values))
            expected.append(oracle.features(view, rows, newest, at))
    assert_same(got, expected, view)


def newest_row(rows: list[dict[str, Any]], id: str) -> dict[str, Any]:
    same = [(row["at"] is not None, row["at"] or nasty.START, n) for n, row in enumerate(rows) if row["id"] == id]
    return rows[max(same)[2]]


def columns_of(view: FeatureViewSpec, frame: pa.Table) -> list[list[Any]]:
    columns = [frame[name].to_pylist() for name in compile_view(view).names]
    return [list(row) for row in zip(*columns, strict=True)]


def assert_same(got: list[list[Any]], expected: list[list[Any]], view: FeatureViewSpec) -> None:
    assert len(got) == len(expected)
    for number, (ours, theirs) in enumerate(zip(got, expected, strict=True)):
        for name, left, right in zip(compile_view(view).names, ours, theirs, strict=True):
            assert same_bits(left, right), f"row {number}, {name}: {left!r}, the oracle says {right!r}"
