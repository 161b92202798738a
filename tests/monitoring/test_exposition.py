"""The text that Prometheus scrapes, held to its format, from a gateway that has really answered."""

import asyncio
import re
from typing import Any

from tests.monitoring.served import ACTOR
from tests.monitoring.test_alerts import settled, sign
from tests.serving.gateways import raw
from tests.serving.late import PROMISING, SEEN, FakeReleases, ask_for, gateway_of, route, some_rows, trained

from trimtab.monitoring import Metrics, Outcome, expose, record_outcomes
from trimtab.store import Store

SAMPLE = re.compile(r'([a-z_0-9]+)(\{(?:[a-z]+="(?:[^"\\\n]|\\.)*",?)*\})? (NaN|[-+0-9.e]+)')


def parsed(text: str) -> dict[str, float]:
    """Every sample by its name and labels; raises where a line is none, or a name comes back later."""
    found: dict[str, float] = {}
    kinds: dict[str, str] = {}
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in kinds
            kinds[name] = kind
            continue
        match = SAMPLE.fullmatch(line)
        assert match, line
        assert list(kinds)[-1] in (match[1], match[1].removesuffix("_sum"), match[1].removesuffix("_count"))
        found[f"{match[1]}{match[2] or ''}"] = float(match[3])
    return found


def test_a_gateway_and_what_is_known_of_its_endpoint(sqlite_store: Store) -> None:
    releases = FakeReleases()
    releases.release(sqlite_store, 1, trained(), view=PROMISING, inputs=SEEN)
    route(sqlite_store, releases, broken_rows="flag")

    async def served() -> tuple[str, list[str]]:
        gateway = gateway_of(sqlite_store, releases)
        await gateway.start()
        answers = [await gateway.infer("late", ask_for([row])) for row in some_rows(30)]
        await gateway.infer("late", raw(distance=[-1.0]))
        ids = [id_ for answer in answers for id_ in answer.decision_ids]
        said = [Outcome(decision=id_, value=i % 2) for i, id_ in enumerate(ids)]
        await asyncio.to_thread(record_outcomes, sqlite_store, "late", said, actor=ACTOR)
        settled(sqlite_store, sign(), sign("drift:shown", "note"))
        sqlite_store.clock.sleep(60)
        metrics = Metrics()
        await asyncio.to_thread(expose, metrics, sqlite_store, gateway.status())
        await gateway.stop()
        return metrics.text(), ids

    text, _ = asyncio.run(served())
    found = parsed(text)
    where = 'endpoint="late",version="1",stage="full"'
    assert found[f"trimtab_requests_total{{{where}}}"] == 31
    assert found[f"trimtab_broken_rows_total{{{where}}}"] == 1
    assert found[f"trimtab_requests_late_total{{{where}}}"] == 0
    assert found['trimtab_lost_calls{endpoint="late"}'] == 0
    assert found[f"trimtab_requests_refused_total{{{where}}}"] == 0
    assert found[f"trimtab_errors_total{{{where}}}"] == 0
    assert found[f"trimtab_request_duration_seconds_count{{{where}}}"] == 31
    assert found['trimtab_outcomes_7d{endpoint="late",version="1"}'] == 30
    assert 0 < found['trimtab_performance_7d{endpoint="late",version="1",metric="log_loss"}'] < 5
    assert found['trimtab_alerts{endpoint="late",kind="drift",severity="page"}'] == 1


def test_labels_are_escaped_and_nothing_is_written_without_a_value() -> None:
    metrics = Metrics()
    metrics.add("a", "gauge", "An a.", None)
    metrics.add("b", "gauge", "A b.", float("nan"), [("name", 'a"b\\c\nd')])
    assert metrics.text() == '# HELP b A b.\n# TYPE b gauge\nb{name="a\\"b\\\\c\\nd"} NaN\n'
    assert parsed(metrics.text())
    odd: Any = Metrics()
    assert odd.text() == "\n"
