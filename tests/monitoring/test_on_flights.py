"""A real year: weather turns from winter to summer, and nobody is paged for it; new destinations are seen."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from tests.features import flights as fx
from threadpoolctl import threadpool_limits

from trimtab.features import training_frame
from trimtab.monitoring.calibration import Finding, calibrate
from trimtab.monitoring.counting import count, count_table
from trimtab.monitoring.dry_run import dry_run
from trimtab.monitoring.influence import permuted_influence
from trimtab.monitoring.reference import PREDICTION, Reference, build_reference, reference_of, to_bytes

TEXTS = ("origin", "carrier", "dest")
NOT_FEATURES = ("key_flight_id", "decided_at", "label", "label_known_at")
MARCH = datetime(2013, 3, 1, tzinfo=UTC)
WEEK = timedelta(days=7)


class Year:
    """All flights of 2013 in order of decision, the answers of a model of January and February, and its reference."""

    def __init__(self) -> None:
        frame = training_frame(fx.DELAY, fx.tables(), label=fx.LATE)
        self.frame = frame.take(pc.sort_indices(frame["decided_at"]))
        self.names = [name for name in frame.column_names if name not in NOT_FEATURES]
        before = pc.less(self.frame["decided_at"], pa.scalar(MARCH))
        learnt = self.frame.filter(pc.and_(before, pc.is_valid(self.frame["label"])))
        self._codes = {name: pc.unique(learnt[name]) for name in TEXTS}
        self._model = HistGradientBoostingClassifier(max_iter=40, random_state=0)
        self._model.fit(self._inputs(learnt), learnt["label"].to_numpy(zero_copy_only=False).astype(bool))
        self.answers = self.predict(self.frame)
        self.reference = self._reference(pc.sum(before).as_py())

    def predict(self, rows: pa.Table) -> np.ndarray:
        return self._model.predict_proba(self._inputs(rows))[:, 1]

    def _inputs(self, rows: pa.Table) -> np.ndarray:
        columns = [
            pc.index_in(rows[name], self._codes[name]) if name in TEXTS else rows[name].cast(pa.float64(), safe=False)
            for name in self.names
        ]
        return np.column_stack([column.to_numpy(zero_copy_only=False).astype(float) for column in columns])

    def _reference(self, n: int) -> Reference:
        rows = self.frame.slice(0, n)
        influence = permuted_influence(self.predict, rows, columns=self.names, seed=0)
        kinds = {name: "category" if name in TEXTS else "float" for name in self.names}
        return build_reference(
            rows.select(self.names),
            kinds=kinds,
            prediction=self.answers[:n],
            at=rows["decided_at"],
            influence=influence,
        )

    def weeks(self) -> Iterator[tuple[datetime, dict[str, Finding]]]:
        """What each week from March on shows, as from a reference that was kept and read again."""
        reference = reference_of(to_bytes(self.reference))
        calibration = calibrate(reference, span=7)
        at = self.frame["decided_at"].to_numpy()
        for start in (MARCH + i * WEEK for i in range(43)):
            low, high = np.searchsorted(at, [np.datetime64(t.replace(tzinfo=None)) for t in (start, start + WEEK)])
            columns = count_table(reference.columns, self.frame.slice(low, high - low))
            found = calibration.findings(
                columns, count(reference.prediction, self.answers[low:high]), windows_per_day=1 / 7
            )
            yield start, {finding.name: finding for finding in found}


@pytest.fixture(scope="module")
def year() -> Year:
    with threadpool_limits(1):  # threads that wait for each other are slow where tests run side by side
        return Year()


@pytest.fixture(scope="module")
def weeks(year: Year) -> list[tuple[datetime, dict[str, Finding]]]:
    return list(year.weeks())


def test_temperature_shifts_all_year_and_pages_nobody_alone(weeks: Any) -> None:
    temperature = [(start.month, found["weather_temp"]) for start, found in weeks]
    naive = {month for month, finding in temperature if finding.distances.psi > 0.2}
    assert naive == set(range(3, 13))  # the usual threshold would have paged in every month
    assert all(finding.level == "shown" for month, finding in temperature if month in (7, 8))
    for _, found in weeks:
        paged = {name for name, finding in found.items() if finding.level == "page"}
        assert not paged or PREDICTION in paged
    assert sum(found[PREDICTION].level == "page" for _, found in weeks) <= 2


def test_new_destinations_are_seen(weeks: Any) -> None:
    of_summer = [found["dest"] for start, found in weeks if start.month in (7, 8)]
    assert all(finding.level != "none" for finding in of_summer)
    assert {finding.statistic for finding in of_summer} == {"unseen"}
    assert "has values that the reference did not name" in of_summer[0].text
    assert weeks[0][1]["dest"].level == "none"


def test_the_dry_run_says_that_days_of_flights_differ_too_much_for_small_shifts(year: Year) -> None:
    found = dry_run(year.reference)
    assert found.windows == 59
    assert len(found.paged_at) <= 1
    prediction = found.columns[0]
    assert prediction.name == PREDICTION
    assert prediction.smallest is not None
    assert prediction.smallest > 1.0  # no drift monitor sees April here: labels have to
