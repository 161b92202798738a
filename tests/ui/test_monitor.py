"""The monitor's page, where parcels became heavier: what drifted stands first, what waits for labels is unfilled."""

import html
import re
import shutil
from datetime import timedelta
from pathlib import Path

import httpx
import msgspec
import pytest
from tests.seeded import LOOPED_TO, Seeded
from tests.ui.conftest import client_of

from trimtab.monitoring import Skew, drift, drift_findings, level_power, performance, shown_finding
from trimtab.monitoring.skew import _keep
from trimtab.store import Store, open_store
from trimtab.ui.draw.scale import short
from trimtab.ui.screens.monitor import SPANS


def _features(page: str) -> list[tuple[str, str]]:
    """Return the columns in their order with the words about each."""
    part = page[page.index('id="features"') :]
    part = part[: part.index("</table>")]
    return re.findall(
        r'<th scope="row"><a [^>]*>([^<]+)</a></th><td[^>]*><span class="status \w+">([^<]+)</span>', part
    )


def test_what_drifted_most_stands_first(looped_client: httpx.Client) -> None:
    found = _features(looped_client.get("/ui/monitor/slow?version=1&span=1d").text)
    names = [name for name, _ in found]
    assert names[0] == "the prediction"
    assert names[1] == "weight"
    assert set(names[1:]) == {"weight", "depot", "sent_hour", "depot_delay_mean_24h"}
    assert dict(found)["depot"] == "as usual"


def test_the_column_that_drifted_most_is_drawn_beside_its_reference(looped_client: httpx.Client) -> None:
    page = looped_client.get("/ui/monitor/slow?version=1&span=1d").text
    panel = page[page.index('id="column"') :]
    assert ">weight<" in panel[:200]
    assert re.search(r'aria-label="Histogram of now', panel)
    assert "reference" in panel


def test_it_says_what_the_test_of_the_level_can_find(looped_client: httpx.Client, looped_store: Store) -> None:
    page = html.unescape(looped_client.get("/ui/monitor/slow?version=1&span=1d").text)
    power = level_power(looped_store, "slow", version=1, at=looped_store.clock.now())
    assert f"<dt>What it can find</dt><dd>{power.text}</dd>" in page


def test_the_drift_over_time_says_how_many_decisions_a_point_has(looped_client: httpx.Client) -> None:
    page = looped_client.get("/ui/monitor/slow?version=1&span=7d").text
    assert "A point is 6 hours, 14 decisions in the median; the fewer, the larger a PSI is by chance alone." in page


def test_a_category_is_compared_value_by_value(looped_client: httpx.Client) -> None:
    page = looped_client.get("/ui/monitor/slow?version=1&column=depot").text
    panel = page[page.index('id="column"') :]
    for value in ("north", "south", "never seen before"):
        assert f'<th scope="row">{value}</th>' in panel


@pytest.mark.parametrize("span", SPANS)
def test_figures_are_those_of_the_room(looped_client: httpx.Client, looped_store: Store, span: str) -> None:
    until = looped_store.clock.now()
    page = looped_client.get(f"/ui/monitor/slow?version=1&span={span}").text
    found = performance(looped_store, "slow", version=1, since=until - SPANS[span], until=until)
    drifted = drift(looped_store, "slow", version=1, since=until - SPANS[span], until=until)
    assert drifted is not None
    assert f"<dt>Decisions</dt><dd>{found.decisions}" in page
    assert f"<dt>Prediction drift</dt><dd>{drifted.of_prediction.psi:.4g}" in page


def test_what_waits_for_its_label_is_left_unfilled(looped_client: httpx.Client, looped_store: Store) -> None:
    page = looped_client.get("/ui/monitor/slow?version=1&span=1d").text
    until = looped_store.clock.now()
    found = performance(looped_store, "slow", version=1, since=until - SPANS["1d"], until=until)
    assert 0 < found.labelled < found.decisions
    assert 'class="waits"' in page
    waiting = [int(n) for n in re.findall(r"decisions?, (\d+) wait for their label", page)]
    assert sum(waiting) == found.decisions - found.labelled
    assert waiting[0] == 0, "parcels arrive within two hours"
    assert f"{LOOPED_TO:%Y-%m-%d}" in page


def test_a_span_with_nothing_in_it_says_so(client: httpx.Client) -> None:
    page = client.get("/ui/monitor/slow").text
    assert "Too few labels are known to draw a line." in page


def test_the_performance_over_time_says_which_spans_it_leaves_out(
    looped_client: httpx.Client, looped_store: Store
) -> None:
    until = looped_store.clock.now()
    hours = [until - timedelta(hours=n) for n in range(24, 0, -1)]
    found = [performance(looped_store, "slow", version=1, since=at, until=at + timedelta(hours=1)) for at in hours]
    few = sum(one.decisions > 0 and one.labelled < 20 for one in found)
    assert few > 1
    page = looped_client.get("/ui/monitor/slow?version=1&span=1d").text
    assert f"A point is 1 hour with at least 20 labels; {few} with decisions have fewer, and are left out." in page


def test_a_finding_stands_beside_what_it_rests_on(looped_client: httpx.Client, looped_store: Store) -> None:
    until = looped_store.clock.now()
    page = html.unescape(looped_client.get("/ui/monitor/slow?version=1&span=1d").text)
    part = page[page.index('id="features"') :]
    rows = re.findall(r"<tr[^>]*><th scope=\"row\">.*?</tr>", part[: part.index("</table>")], re.DOTALL)
    found = drift_findings(looped_store, "slow", version=1, since=until - SPANS["1d"], until=until)
    assert len(rows) == len(found) > 1
    by_name = {one.name: shown_finding(one) for one in found}
    for row in rows:
        name = re.findall(r"<a [^>]*>([^<]+)</a>", row)[0]
        shown = by_name["prediction" if name == "the prediction" else name]
        for value in (shown.psi, shown.usual, shown.ratio):
            assert short(value) in row
        assert shown.decided in row
        assert f'<td class="num">{shown.n}</td>' in row


@pytest.mark.parametrize(
    ("rows", "differing", "tone", "says"),
    [(0, 0, "off", "nothing to compare"), (40, 0, "ok", "0 of 40 rows differ"), (40, 3, "bad", "3 of 40 rows differ")],
)
def test_only_rows_that_were_compared_are_good_news(
    looped: Seeded, tmp_path: Path, rows: int, differing: int, tone: str, says: str
) -> None:
    home = tmp_path / "home"
    shutil.copytree(looped.home, home)
    store = open_store(msgspec.structs.replace(looped, home=home).settings)
    lines = tuple(f"row {n}" for n in range(min(differing, 2)))
    _keep(store, Skew(endpoint="slow", version=1, day="2013-02-08", rows=rows, differing=differing,
                      columns={"weight": differing} if differing else {}, lines=lines))  # fmt: skip
    with client_of(store) as client:
        page = client.get("/ui/monitor/slow?version=1").text
    store.close()
    assert f'<span class="status {tone}">{says}</span>' in page
    assert ("2 of 3 differences" in page) == (differing == 3)


def test_where_nothing_was_decided_nothing_is_well(client: httpx.Client) -> None:
    page = client.get("/ui/monitor/slow?version=3").text
    assert '<span class="status ok">' not in page[page.index('id="alarms"') : page.index('id="performance"')]


def test_the_list_shows_each_endpoint(looped_client: httpx.Client) -> None:
    page = looped_client.get("/ui/monitor").text
    assert re.search(r'<a href="/ui/monitor/slow">slow</a></th><td><a href="/ui/models/slow/1">slow@1</a>', page)
    assert "log loss <b>" in page


def test_a_column_that_the_reference_does_not_hold_is_refused(looped_client: httpx.Client) -> None:
    answer = looped_client.get("/ui/monitor/slow?column=luck")
    assert (answer.status_code, "holds no column" in answer.text) == (400, True)
