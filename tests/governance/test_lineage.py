"""Lineage in both directions, as of any position, and the same however often it is told again."""

from collections import Counter
from datetime import UTC, datetime
from importlib import import_module

import msgspec
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.registry.cases import BOB, registered

from trimtab.governance import Graph, dependent_decisions, lineage
from trimtab.governance.history import events_of
from trimtab.governance.projection import READ, Projection
from trimtab.governance.traces import _is, _text_in_json
from trimtab.kernel import Invalid, NotFound, TrimtabError
from trimtab.registry import approve, get_version, release_for
from trimtab.serving import Decision, decisions
from trimtab.store import Store, events, ledger_size


@pytest.fixture(scope="module")
def answered(lived: Store) -> list[Decision]:
    return decisions(lived, "slow", limit=100)


def kinds(graph: Graph) -> Counter[str]:
    return Counter(node.kind for node in graph.nodes)


def position_of(store: Store, type_: str, ref: str) -> int:
    return events(store, type=type_, subject=("version", ref))[0].position


def test_a_version_back_to_its_source_and_on_to_its_endpoint(lived: Store) -> None:
    graph = lineage(lived, "slow@1")
    version = get_version(lived, "slow@1")
    assert graph.missing == ()
    assert set(kinds(graph)) == {
        "source", "snapshot", "features", "evaluation", "run", "pipeline-run", "version", "approval", "release",
        "endpoint", "decisions", "turn",
    }  # fmt: skip
    (snapshot,) = graph.of("snapshot")
    assert (snapshot.name, snapshot.digest) == (version.lineage.snapshots[0], version.lineage.data[0])
    assert graph.of("evaluation")[0].name == version.evaluation_id
    how = {(edge.source.partition(":")[0], edge.target.partition(":")[0]): edge.how for edge in graph.edges}
    assert how["release", "endpoint"] == "answers: full, 90 %"
    assert how["snapshot", "version"] == "trained on"


def test_nodes_stand_behind_what_they_depend_on(lived: Store) -> None:
    for subject in ("slow@1", "source:parcels", "endpoint:slow"):
        graph = lineage(lived, subject)
        place = {node.id: i for i, node in enumerate(graph.nodes)}
        assert all(place[edge.source] < place[edge.target] for edge in graph.edges)
        assert graph.node(graph.subject) is not None


def test_a_decision_back_to_its_rows(lived: Store, answered: list[Decision]) -> None:
    decision = answered[3]
    graph = lineage(lived, f"decision:{decision.id}")
    rows = {node.name: node.said for node in graph.of("rows")}
    assert rows[f"the Parcel with parcel_id={(decision.key or {})['parcel_id']}"] == "1 row"
    (window,) = [name for name in rows if name.startswith("Parcel known in the")]
    assert f"depot={decision.features['depot']}" in window
    assert int(rows[window].split()[0]) > 5
    assert [node.name for node in graph.of("version")] == [f"slow@{decision.version}"]
    assert {"source", "snapshot", "features", "approval", "release"} <= set(kinds(graph))
    assert graph.missing == ()


def test_the_window_holds_the_rows_that_the_feature_was_computed_from(lived: Store, answered: list[Decision]) -> None:
    from trimtab.data import load_snapshot

    decision = answered[3]
    graph = lineage(lived, f"decision:{decision.id}")
    said = next(node.said for node in graph.of("rows") if node.name.startswith("Parcel known in"))
    rows = load_snapshot(lived, graph.of("snapshot")[0].name).to_pylist()
    as_of = decision.as_of
    read = [
        row["delay"]
        for row in rows
        if row["depot"] == decision.features["depot"] and 0 <= (as_of - row["arrived"]).total_seconds() < 86400
    ]
    assert int(said.split()[0]) == len(read)
    assert sum(read) / len(read) == pytest.approx(decision.features["depot_delay_mean_24h"])


def test_a_source_on_to_every_decision(lived: Store, answered: list[Decision]) -> None:
    graph = lineage(lived, "source:parcels")
    assert [node.name for node in graph.of("version")] == ["slow@1", "slow@2", "slow@3"]
    assert [node.said for node in graph.of("endpoint")] == ["live, revision 3"]
    every = sorted(one.id for one in answered)
    assert list(dependent_decisions(lived, "source:parcels")) == every
    assert list(dependent_decisions(lived, "source:parcels", after=every[9])) == every[10:]
    of_second = [one.id for one in answered if one.version == 2]
    assert sorted(dependent_decisions(lived, "slow@2")) == sorted(of_second)
    assert sorted(dependent_decisions(lived, "decisions:slow@2 at slow")) == sorted(of_second)
    assert list(dependent_decisions(lived, "endpoint:slow")) == every


def test_a_row_on_to_the_decisions_about_it(lived: Store, answered: list[Decision]) -> None:
    decision = answered[5]
    subject = f"row:parcels/parcel_id={(decision.key or {})['parcel_id']}"
    graph = lineage(lived, subject)
    assert [node.name for node in graph.of("decision")] == [decision.id]
    assert {"snapshot", "version", "endpoint"} <= set(kinds(graph))
    assert sorted(dependent_decisions(lived, subject)) == sorted(one.id for one in answered)
    with pytest.raises(NotFound, match="no snapshot of parcels held a row with parcel_id=nobody"):
        lineage(lived, "row:parcels/parcel_id=nobody")


def test_as_of_earlier_positions(lived: Store) -> None:
    said, entered = (position_of(lived, f"registry.version-{what}", "slow@2") for what in ("approved", "registered"))
    with pytest.raises(NotFound, match="knew of no version 'slow@2'"):
        lineage(lived, "slow@2", position=entered - 1)
    before = lineage(lived, "slow@2", position=said - 1)
    assert before.node("version:slow@2").said == "candidate"
    assert not before.of("endpoint")
    routed = [event.position for event in events(lived, type="serving.routing-changed")]
    shadow = lineage(lived, "slow@2", position=routed[1])
    assert [e.how for e in shadow.edges if e.target == "endpoint:slow"] == ["answers: shadow"]
    canary = lineage(lived, "slow@2", position=routed[2])
    assert [e.how for e in canary.edges if e.target == "endpoint:slow"] == ["answers: canary, 10 %"]
    assert list(dependent_decisions(lived, "slow@1", position=routed[2])) == []


def test_a_decision_is_not_there_before_it_was_taken(lived: Store, answered: list[Decision]) -> None:
    decision = answered[0]
    later = [event.position for event in events(lived) if event.at >= decision.at]
    for position in (later[0] - 1, position_of(lived, "registry.version-approved", "slow@1")):
        with pytest.raises(NotFound, match="was not taken yet"):
            lineage(lived, f"decision:{decision.id}", position=position)
    for position in (later[0], ledger_size(lived) - 1, None):
        assert lineage(lived, f"decision:{decision.id}", position=position).of("decision")


def test_only_a_graph_leaves_decisions_about_a_row_out(
    lived: Store, answered: list[Decision], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("trimtab.governance.lineage"), "MOST", 0)
    subject = f"row:parcels/parcel_id={(answered[5].key or {})['parcel_id']}"
    graph = lineage(lived, subject)
    assert not graph.of("decision")
    assert any(line.startswith("1 more decisions about parcel_id=") for line in graph.missing)
    assert answered[5].id in dependent_decisions(lived, subject)


@pytest.mark.parametrize(
    ("said", "value", "kind"),
    [
        ('a "quoted" name', 'a "quoted" name', pa.string()),
        ("2013-01-01T05:00:00Z", datetime(2013, 1, 1, 5, tzinfo=UTC), pa.timestamp("us", "UTC")),
        ("2013-01-01 06:00:00+01:00", datetime(2013, 1, 1, 5, tzinfo=UTC), pa.timestamp("us", "UTC")),
        (7, 7, pa.int64()),
        ("7", 7, pa.int64()),
        (7, 7.0, pa.float64()),
        ("7.0", 7.0, pa.float64()),
    ],
)
def test_a_key_is_the_same_however_it_was_written(said: object, value: object, kind: pa.DataType) -> None:
    assert _is(said, value, kind)
    assert not _is(None, value, kind)
    assert not _is("other", value, kind)
    assert _text_in_json({"key": value}) in msgspec.json.encode({"key": said}).decode()


@given(st.data())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_told_in_parts_it_is_told_the_same(lived: Store, data: st.DataObject) -> None:
    """A fold: any cut of the events into two parts leaves the same graph, and so does telling them again."""
    told = list(events_of(lived, type=READ, size=ledger_size(lived)))
    cut = data.draw(st.integers(0, len(told)))
    whole, parts = (Projection(lambda ref: get_version(lived, ref)) for _ in range(2))
    whole.apply(told)
    parts.apply(told[:cut]).apply(told[cut:])
    assert (whole.nodes, whole.edges, whole.sealed) == (parts.nodes, parts.edges, parts.sealed)
    position = data.draw(st.integers(0, ledger_size(lived) - 1))
    seen = [event for event in told if event.position <= position]
    early = Projection(lambda ref: get_version(lived, ref)).apply(seen)
    for id_ in early.nodes:
        kind, _, name = id_.partition(":")
        if kind not in ("decision", "row"):
            graph = lineage(lived, f"{kind}:{name}", position=position)
            assert {node.id for node in graph.nodes} <= set(early.nodes)


def test_what_cannot_be_followed_is_named(store: Store) -> None:
    version = registered(store)
    with store.change(BOB, "good") as change:
        approve(change, version)
    release_for(store, version)
    graph = lineage(store, "late@1")
    assert set(kinds(graph)) == {"version", "evaluation", "approval", "release"}
    assert len(graph.missing) == 2
    assert all(line.startswith("data of late@1: no snapshot with the digest sha256:") for line in graph.missing)


@pytest.mark.parametrize("subject", ["", "late", "nothing:x", "version:", "row:parcels", "row:parcels/parcel_id"])
def test_what_names_nothing(lived: Store, subject: str) -> None:
    with pytest.raises(Invalid):
        lineage(lived, subject)


@pytest.mark.parametrize("subject", ["slow@9", "snapshot:snap_0", "decision:01J", "endpoint:fast", "row:nothing/a=1"])
def test_what_is_not_there(lived: Store, subject: str) -> None:
    with pytest.raises(TrimtabError):
        lineage(lived, subject)
