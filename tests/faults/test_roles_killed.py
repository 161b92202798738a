"""``kill -9`` of everyone, again and again, on PostgreSQL and S3 with two servers: nothing acknowledged is lost.

Clients ask for decisions, tell outcomes, change state, submit pipelines and track runs without a pause, while servers,
workers, ``apply``, a writing client, the database's sessions and the bucket's server end at random moments. In the end
everything that somebody was told is there, once. ``KILLS=200`` in the environment makes it the long run.
"""

import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from sqlalchemy import func, select
from tests.conftest import S3_ENVIRONMENT
from tests.faults.acknowledged import DONE, Changes, Lookups, Outcomes
from tests.faults.evidence import check_events_of_run, check_events_of_run_given_up, check_nothing_lies_about
from tests.faults.killed_client import WRITER
from tests.faults.roles import Bucket, Host, Parent, Sessions, Site, Writing, join
from tests.journeys.project import write
from tests.journeys.shell import Shell

from trimtab.monitoring.tables import monitoring_hours, monitoring_outcomes, monitoring_scores
from trimtab.monitoring.taking import take
from trimtab.pipelines import PipelineRun, RunStatus, list_pipeline_runs
from trimtab.registry import Status, get_version
from trimtab.server.tokens import list_tokens
from trimtab.serving import Decision, Endpoint, Routing, decision_tables, decisions, get_endpoint, sealed_segments
from trimtab.store import Recorded, Store, events, open_store, verify
from trimtab.store.tables import ledger_outbox
from trimtab.tracking import RunStatus as TrackedStatus
from trimtab.tracking import find_lost, get_run
from trimtab.tracking.tables import tracking_metrics, tracking_params, tracking_points

KILLS = int(os.environ.get("KILLS", "2"))
"""Of each role."""
SEED = int(os.environ.get("SEED", "11"))
ROLES = ("server", "worker", "apply", "writer", "sessions", "bucket")
EXPLAINED = 5
"""Decisions of each host that each host explains."""


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    for name, value in S3_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    bucket = Bucket()
    boto3.client("s3", endpoint_url=bucket.endpoint).create_bucket(Bucket="killed")
    yield bucket
    bucket.close()


@pytest.mark.timeout(900 + 60 * KILLS)
def test_nothing_acknowledged_is_lost_whoever_is_killed(
    tmp_path: Path, postgres_url: str, postgres_schema: str, bucket: Bucket, tidy: Callable[[Shell], Shell]
) -> None:
    print(f"seed {SEED}, {KILLS} kills of each role")  # noqa: T201 - a failure shows it
    shared = {"database": postgres_url, "blobs": f"s3://killed/{tmp_path.name}", "blobs_endpoint": bucket.endpoint}
    here, there = (tidy(Shell(tmp_path / name, **shared)) for name in ("first", "second"))
    for shell in (here, there):
        shell.environment["TRIMTAB_WORKERS"] = "1"  # each takes seconds to start
    write(here.folder, models=1)
    chance = random.Random(SEED)
    with Parent.of(here) as parent:
        parent.run(here, "apply", "--yes", "--because", "the parcels of early 2013")
        parent.run(here, "approve", "slow@1", "--because", "first model")
        join(here, there, parent)
        site = Site(parent, (here, there), Sessions(postgres_schema), bucket, chance)
        with ExitStack() as clients:
            outcomes, changes, lookups = (
                clients.enter_context(kind(site.hosts, chance.randrange(2**32)))
                for kind in (Outcomes, Changes, Lookups)
            )  # fmt: skip
            kill_all(site, chance)
            come_to_rest(site, here)
        assert [*outcomes.complaints, *changes.complaints, *lookups.complaints] == []
        for host in site.hosts:
            host.stop()
        for shell in (here, there):
            doctor = json.loads(parent.run(shell, "doctor", "-o", "json"))
            assert [one for one in doctor if one["state"] == "bad"] == []
            explain(parent, shell, site.hosts)
    with closing(open_store(here.settings)) as store, closing(open_store(there.settings)) as other:
        recorded = list(all_events(store))
        check_decisions(store, site.hosts)
        check_seals(store, recorded)
        check_outcomes(store, recorded, outcomes)
        check_changes(store, recorded, changes)
        check_pipelines(store, recorded, site)
        check_writing(store, recorded, site.writing)
        check_ledger(store, recorded)
        assert [verify(one).kind for one in (store, other)] == ["intact", "intact"]
    for shell in (here, there):
        check_nothing_lies_about(shell)
    answered = sum(len(host.answered) for host in site.hosts)
    said = {type(one).__name__: dict(one.statuses) for one in (outcomes, changes, lookups)}
    print(f"{answered} decisions, {len(recorded)} events, {len(site.applying.done)} applied, {said}")  # noqa: T201


def kill_all(site: Site, chance: random.Random) -> None:
    """Kill everyone as often as asked, in any order."""
    turns = [role for role in ROLES for _ in range(KILLS)]
    chance.shuffle(turns)
    site.wait_until(lambda: all(host.serves for host in site.hosts), "both serve")
    for number, role in enumerate(turns):
        site.tend()
        site.kill(role)
        print(number, role)  # noqa: T201


def come_to_rest(site: Site, shell: Shell) -> None:
    """Let everybody end what is begun, under way as it is."""
    site.applying.enough()
    site.wait_until(lambda: site.applying.is_done, "the last is applied")
    site.writing.enough()
    site.wait_until(lambda: site.writing.is_done, "the client has written all")
    with closing(open_store(shell.settings)) as store:
        states = (RunStatus.QUEUED, RunStatus.RUNNING)
        site.wait_until(
            lambda: not any(list_pipeline_runs(store, status=one) for one in states), "every run is over"
        )  # fmt: skip
    site.wait_until(lambda: all(host.serves for host in site.hosts), "both serve")


def all_events(store: Store) -> Iterator[Recorded]:
    after = None
    while page := events(store, after=after, limit=5000):
        yield from page
        after = page[-1].position


def explain(parent: Parent, shell: Shell, hosts: tuple[Host, ...]) -> None:
    """Have a home explain decisions of either."""
    for host in hosts:
        for one in host.answered[:: max(1, len(host.answered) // EXPLAINED)][:EXPLAINED]:
            why = json.loads(parent.run(shell, "why", one.id, "-o", "json"))
            assert why["missing"] == []
            found = (str(why["version"]["number"]), why["decision"]["result"]["probability"])
            assert found == (one.version, one.probability)


def check_decisions(store: Store, hosts: tuple[Host, ...]) -> None:
    """Hold the log against what clients were told, and monitoring against the log: each decision once."""
    for host in hosts:
        assert host.refused == []
    logged: dict[str, Decision] = {one.id: one for one in decisions(store, "slow", limit=10**7)}
    told = {one.id: (one.version, one.probability) for host in hosts for one in host.answered}
    assert len(told) == sum(len(host.answered) for host in hosts)
    found = {id_: (str(logged[id_].version), logged[id_].result["probability"]) for id_ in told if id_ in logged}
    assert found == told
    ids = [id_ for table in decision_tables(store, "slow") for id_ in table["id"].to_pylist()]
    assert sorted(ids) == sorted(logged), "a decision lies in two segments"
    take(store, "slow")
    with store.read() as connection:
        scored = connection.execute(select(monitoring_scores.c.id, monitoring_scores.c.score)).all()
        counted = connection.execute(select(func.sum(monitoring_hours.c.n))).scalar_one()
    assert {row.id: row.score for row in scored} == {one.id: one.result["probability"] for one in logged.values()}
    assert counted == len(logged)


def check_seals(store: Store, recorded: list[Recorded]) -> None:
    """Everything is sealed, each segment once, in the ledger as in the table."""
    segments = {one.id: (one.digest, one.count) for one in sealed_segments(store, "slow")}
    sealed = [one.data for one in recorded if one.type == "serving.decisions-sealed"]
    assert len(sealed) == len(segments)
    assert {one["segment_id"]: (one["digest"], one["count"]) for one in sealed} == segments


def check_outcomes(store: Store, recorded: list[Recorded], outcomes: Outcomes) -> None:
    """What came of decisions counts once, with its value."""
    with store.read() as connection:
        rows = connection.execute(select(monitoring_outcomes)).mappings().all()
        answers = select(func.sum(monitoring_hours.c.labelled)).where(monitoring_hours.c.stage != "shadow")
        labelled = connection.execute(answers).scalar_one()
    found = {row["subject"]: (row["value"], row["corrections"]) for row in rows}
    told = {one["decision"]: (one["value"], 0) for some in outcomes.told.values() for one in some}
    assert {id_: found.get(id_) for id_ in told} == told
    assert labelled == len(rows)
    reasons = Counter(one.because for one in recorded if one.type == "monitoring.outcomes-recorded")
    assert {because: reasons[because] for because in outcomes.told} == dict.fromkeys(outcomes.told, 1)
    assert set(reasons.values()) == {1}


def check_changes(store: Store, recorded: list[Recorded], changes: Changes) -> None:
    """Each change that was acknowledged is in the ledger once, and none of the others more than once."""
    of = {"token": "server.token-issued", "revoke": "server.token-revoked", "approve": "registry.version-approved",
          "serve": "serving.routing-changed", "back": "serving.routing-changed"}  # fmt: skip
    by_reason: dict[tuple[str, str], list[Recorded]] = {}
    for event in recorded:
        by_reason.setdefault((event.type, event.because), []).append(event)
    routings = [one.data for one in recorded if one.type == "serving.routing-changed"]
    assert [one["revision"] for one in routings] == list(range(1, len(routings) + 1))
    tokens = {one.id: one for one in list_tokens(store)}
    for made in changes.made:
        found = by_reason.get((of[made.kind], made.because), [])
        assert len(found) <= 1, (made, found)
        if made.status not in DONE:
            continue
        match made.kind:
            case "token":
                assert [one.data["token"] for one in found] == [made.answer["token"]["id"]], made
                assert tokens[made.answer["token"]["id"]].name == made.answer["token"]["name"]
            case "revoke":
                assert [one.data["token"] for one in found] == [made.answer["id"]], made
                assert tokens[made.answer["id"]].revoked_at is not None
            case "approve":
                approval = made.answer["approval"]
                assert [one.data["approval"] for one in found] == [approval["id"]], made
                assert get_version(store, f"slow@{approval['version']}").status is Status.APPROVED
            case _:
                said = msgspec.convert(made.answer, Endpoint)
                assert msgspec.convert(routings[said.revision - 1]["now"], Routing) == said.routing, made
    issued = Counter(one.data["token"] for one in recorded if one.type == "server.token-issued")
    assert issued == Counter(list(tokens))
    now = get_endpoint(store, "slow")
    assert (now.revision, now.routing) == (len(routings), msgspec.convert(routings[-1]["now"], Routing))


def check_pipelines(store: Store, recorded: list[Recorded], site: Site) -> None:
    """Every run has ended well, and each of its steps once; or was given up as one step has lost too many workers."""
    runs: dict[str, PipelineRun] = {run.id: run for run in list_pipeline_runs(store, limit=None)}
    by_run: dict[str, list[dict[str, Any]]] = {}
    for event in recorded:
        if event.type.startswith("pipelines."):
            by_run.setdefault(event.data["run"], []).append(msgspec.to_builtins(event))
    assert set(by_run) == set(runs)
    for id_, run in runs.items():
        check = check_events_of_run_given_up if run.status is RunStatus.FAILED else check_events_of_run
        check(msgspec.to_builtins(run), by_run[id_])
    for id_, number in site.applying.done:
        assert not id_ or id_ in runs
        assert not number or get_version(store, f"slow@{number}")
    registered = [one.data["number"] for one in recorded if one.type == "registry.version-registered"]
    assert registered == list(range(1, len(registered) + 1))


def check_writing(store: Store, recorded: list[Recorded], writing: Writing) -> None:
    """Hold the client's list of what was done against the store."""
    told = writing.told
    rounds = [int(words[1]) for words in told if words[0] == "round"]
    assert rounds == list(range(len(rounds)))
    names = Counter(one.name for one in list_tokens(store) if one.name.startswith("written-"))
    assert names == Counter(f"written-{number}" for number in rounds)
    runs = {run.key: run.id for run in list_pipeline_runs(store, pipeline="written", limit=None)}
    for _, number, run_id in (words for words in told if words[0] == "submit"):
        assert runs[f"run {number}"] == run_id
    find_lost(store)
    by_run: dict[str, dict[int, float]] = {}
    for _, run_id, step, value in (words for words in told if words[0] == "point"):
        by_run.setdefault(run_id, {})[int(step)] = float(value)
    query = select(tracking_points.c.step, tracking_points.c.value).join(
        tracking_metrics, tracking_metrics.c.id == tracking_points.c.metric_id
    )
    params = select(tracking_params.c.value).where(tracking_params.c.key == "number")
    ended = {words[1] for words in told if words[0] == "ended"}
    for run_id, points in by_run.items():
        with store.read() as connection:
            found = [
                (row.step, row.value) for row in connection.execute(query.where(tracking_metrics.c.run_id == run_id))
            ]
            (number,) = connection.execute(params.where(tracking_params.c.run_id == run_id)).scalars()
        assert len(found) == len(dict(found)), "a point counts twice"
        assert {step: dict(found).get(step) for step in points} == points
        assert points[0] == float(number)
        states = (TrackedStatus.FINISHED,) if run_id in ended else (TrackedStatus.FINISHED, TrackedStatus.LOST)
        assert get_run(store, run_id).status in states
    assert any(one.actor == WRITER for one in recorded)


def check_ledger(store: Store, recorded: list[Recorded]) -> None:
    """Positions have no gaps, ids and keys stand for one event each, and nothing waits for a position."""
    assert [one.position for one in recorded] == list(range(len(recorded)))
    assert len({one.id for one in recorded}) == len(recorded)
    keys = [one.idempotency_key for one in recorded if one.idempotency_key]
    assert keys
    assert len(keys) == len(set(keys))
    with store.read() as connection:
        assert connection.execute(select(func.count()).select_from(ledger_outbox)).scalar() == 0
