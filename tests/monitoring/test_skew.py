"""Skew: rows that were served as training would see them, and rows that were not."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.monitoring.served import START

from trimtab.kernel import Settings, VirtualClock
from trimtab.monitoring import measure_skew, measured_skew
from trimtab.monitoring.skew import skew_signs
from trimtab.serving import DecisionLog, decisions
from trimtab.serving.frames import Entry, Layout
from trimtab.serving.segments import micros
from trimtab.store import Store, open_store

if TYPE_CHECKING:
    from tests.seeded import Seeded

DAY = datetime(2013, 3, 1, tzinfo=UTC)


@pytest.fixture
def lived(seeded: "Seeded", tmp_path: Path) -> Iterator[Store]:
    """A store whose gateway has answered 40 requests by key, from its real online store."""
    home = tmp_path / "home"
    shutil.copytree(seeded.home, home)
    store = open_store(Settings(home=str(home)), clock=VirtualClock(seeded.seen_at))
    yield store
    store.close()


def version_1(store: Store) -> int:
    return sum(one.version == 1 for one in decisions(store, "slow", limit=1000))


def test_rows_from_the_online_store_are_what_training_would_see(lived: Store) -> None:
    found = measure_skew(lived, "slow", version=1, day=DAY)
    assert found is not None
    assert found.rows == version_1(lived) > 20
    assert (found.differing, found.columns, found.share) == (0, {}, 0.0)
    assert skew_signs(found) == []
    assert measured_skew(lived, "slow", version=1) == found


def test_a_row_that_was_served_otherwise_is_named(lived: Store) -> None:
    """Logged as a gateway with other code would: one value differs in its last bit, another is missing."""
    served = [one for one in decisions(lived, "slow", limit=1000) if one.version == 1][:3]
    log = DecisionLog(lived)
    for place, one in enumerate(served):
        values = list(one.values)
        weight = one.columns.index("weight")
        if place == 0:
            values[weight] = float(values[weight]) * (1 + 2**-52)  # type: ignore[arg-type]
        if place == 1:
            values[one.columns.index("depot")] = None
        kinds = tuple((name, "category" if name == "depot" else "float") for name in one.columns)
        entry = Entry(
            layout=0, at_us=micros(one.at), source=one.source, stage=one.stage, reason=one.reason, latency_us=1,
            ids=[lived.ids.new()], values=[values], outputs=[[one.result["probability"]], [one.result["label"]]],
            keys=[one.key], ages_s=[list(one.ages_s or ())], as_of_us=[micros(one.as_of)],
        )  # fmt: skip
        outputs = (("probability", "float"), ("label", "int"))
        layout = Layout(0, "slow", 1, one.release, kinds, outputs)  # type: ignore[arg-type]
        log.write("slow", [(layout, entry)])
    before = version_1(lived) - 3
    found = measure_skew(lived, "slow", version=1, day=DAY)
    assert found is not None
    assert (found.rows, found.differing) == (before + 3, 2)
    assert found.columns == {"depot": 1, "weight": 1}
    (sign,) = skew_signs(found)
    assert (sign.severity, sign.group) == ("page", "skew")
    assert "depot, weight" in sign.title
    assert any("depot: served None, offline" in line for line in sign.lines)
    assert measure_skew(lived, "slow", version=1, day=DAY) == found  # once measured, it stands


def test_the_sample_is_the_same_whoever_draws(lived: Store) -> None:
    few = measure_skew(lived, "slow", version=1, day=DAY, sample=5)
    assert few is not None
    assert few.rows == 5


def test_nothing_to_compare(lived: Store) -> None:
    empty = measure_skew(lived, "slow", version=1, day=START.replace(month=1))
    assert empty is not None
    assert (empty.rows, empty.share) == (0, None)
    assert measure_skew(lived, "slow", version=99, day=DAY) is None
    assert measured_skew(lived, "nobody", version=1) is None
