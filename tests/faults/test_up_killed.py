"""``kill -9`` of ``trimtab up`` while clients ask: what was answered is in the log, whatever was going on."""

import random
import time

from tests.faults.evidence import check_nothing_lies_about
from tests.journeys.asking import body_of
from tests.journeys.project import write
from tests.journeys.shell import Server, Shell, ask
from tests.journeys.traffic import Answered, Traffic
from tests.waiting import wait_until

from trimtab.serving import decisions, sealed_segments
from trimtab.store import open_store

KILLS = 4
CLIENTS = 4
BODIES = [body_of({"parcel_id": f"p{number}"}) for number in range(2960, 3000)]


def test_no_answered_decision_is_lost(shell: Shell) -> None:
    """The first kill comes while the server starts, the others under load; each start finds what the last one left."""
    write(shell.folder, models=1)
    shell.run("apply", "--yes", "--because", "the parcels of early 2013")
    shell.run("approve", "slow@1", "--because", "first model")
    chance = random.Random(4)
    everything: list[Answered] = []
    for number in range(KILLS):
        everything += killed_under_load(shell, chance.uniform(0.0, 0.6))
        if number % 2:
            killed_while_it_starts(shell, chance.uniform(0.0, 0.3))
        check_log(shell, everything)  # as the files were left
    why = shell.json("why", everything[-1].id)
    assert why["decision"]["result"]["probability"] == everything[-1].probability
    with shell.up() as server:
        server.wait_until_ready()
        status, answer = ask(server.url + "/v2/models/slow/infer", BODIES[0])
        assert (status, answer["model_version"]) == (200, "1")
    check_log(shell, everything)
    check_seals(shell, at_least=len(everything) + 1)
    assert shell.json("verify")["kind"] == "intact"
    check_nothing_lies_about(shell)


def killed_under_load(shell: Shell, later_s: float) -> list[Answered]:
    """Serve, let clients ask, kill the server, and return what reached them."""
    server = Server(shell)
    try:
        server.wait_until_it_answers()
        server.wait_until_ready()
        with Traffic(server.url, "slow", BODIES, clients=CLIENTS, pause_s=0.0) as traffic:
            traffic.wait_for(30)
            time.sleep(later_s)
            server.kill()
    finally:
        server.kill()
    assert traffic.refused == []
    assert len(traffic.broken) == CLIENTS, "every client was cut off"
    return traffic.answered


def killed_while_it_starts(shell: Shell, later_s: float) -> None:
    """Start to serve and kill the server about when it seals what an earlier one left."""
    server = Server(shell)
    try:
        wait_until(lambda: "inference" in server.said.read_text(), "the server begins", alive=server.process)
        time.sleep(later_s)
    finally:
        server.kill()


def check_log(shell: Shell, answered: list[Answered]) -> None:
    """Hold the log against what clients were told."""
    store = open_store(shell.settings)
    try:
        logged = {one.id: one.result["probability"] for one in decisions(store, "slow", limit=10**7)}
    finally:
        store.close()
    assert {one.id: logged.get(one.id) for one in answered} == {one.id: one.probability for one in answered}


def check_seals(shell: Shell, *, at_least: int) -> None:
    """Everything is sealed, each segment once, in the ledger as in the table."""
    store = open_store(shell.settings)
    try:
        segments = {segment.id: (segment.digest, segment.count) for segment in sealed_segments(store, "slow")}
    finally:
        store.close()
    events = [event["data"] for event in shell.events("serving.decisions-sealed")]
    assert len(events) == len(segments)
    assert {event["segment_id"]: (event["digest"], event["count"]) for event in events} == segments
    assert sum(count for _, count in segments.values()) >= at_least
