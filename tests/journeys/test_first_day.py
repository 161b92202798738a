"""A newcomer's first day, on both databases: from a file to decisions that can be explained, and a clean stop."""

from typing import Any

import pyarrow as pa
import tritonclient.http as triton
from tests.journeys.asking import infer
from tests.journeys.project import FILE, write
from tests.journeys.shell import Server, Shell

from trimtab.data import latest_snapshot, load_snapshot
from trimtab.declare import Project, load_project
from trimtab.features import training_frame
from trimtab.store import open_store

BECAUSE = "the parcels of early 2013"
FEATURES = ("weight", "depot", "sent_hour", "depot_delay_mean_24h")
ASKED = "p2995"


def test_the_first_day(shell: Shell) -> None:
    write(shell.folder, models=1)
    plan = shell.run("plan", code=2).out
    assert "5 to add" in plan
    assert "weight 400 at p7" in plan
    assert shell.events() == [], "plan changed something"

    applied = shell.run("apply", "--yes", "--because", BECAUSE)
    assert "slow@1 passed its gate" in applied.out
    shell.run("plan", code=0)
    done = shell.events()
    assert sorted(event["data"]["step"] for event in done if event["type"] == "pipelines.step-finished") == [
        "declare", "evaluate-slow", "features-slow", "materialise-parcel", "register-slow", "snapshot-parcels",
        "train-slow",
    ]  # fmt: skip
    people = [event for event in done if event["actor"]["kind"] == "person" and event["type"] != "tracking.run-resumed"]
    assert {event["because"] for event in people if "tracking.run-finished" not in event["type"]} == {BECAUSE}
    again = shell.run("apply", "--yes", "--because", "once more")
    assert "nothing to do" in again.out
    assert shell.events() == done, "a second apply did something"

    approved = shell.run("approve", "slow@1", "--because", "first model").out
    assert "self-approved" in approved
    with shell.up() as server:
        server.wait_until_ready()
        answers = asked_in_every_way(shell, server)
        check_explanations(shell, answers[::2])
        assert shell.json("predict", "slow", "--example")["answered_by"] == "slow@1"
    check_explanations(shell, answers[1::2])  # also when they are sealed, and nobody serves
    sealed = shell.events("serving.decisions-sealed")
    assert sum(event["data"]["count"] for event in sealed) == len(answers) + 1
    assert shell.json("verify")["kind"] == "intact"


Answer = tuple[str, str, dict[str, Any], float]
"""Decision, how the row was given, the row as the training frame has it, probability."""


def asked_in_every_way(shell: Shell, server: Server) -> list[Answer]:
    """Ask by key, by the fields of a request, and by raw features; as JSON and as binary tensors."""
    row = training_row(shell)
    sent = row["decided_at"].isoformat()
    requests = {
        "key": {"parcel_id": ASKED},
        "context": {"weight": row["weight"], "depot": row["depot"], "sent": sent},
        "raw": {name: row[name] for name in FEATURES},
    }
    client = triton.InferenceServerClient(server.address)
    try:
        assert client.is_server_ready()
        assert client.get_server_metadata()["name"] == "trimtab"
        answers = []
        for way, request in requests.items():
            for binary in (False, True):
                decision, probability, version = infer(client, "slow", request, binary=binary)
                assert version == "1"
                answers.append((decision, way, row, probability))
    finally:
        client.close()
    assert len({probability for *_, probability in answers}) == 1, "one row, two answers"
    return answers


def training_row(shell: Shell) -> dict[str, Any]:
    """Return the row of the training frame that the same declaration gives offline."""
    project = load_project(shell.folder / FILE)
    store = open_store(shell.settings)
    try:
        frame = frame_of(project, load_snapshot(store, latest_snapshot(store, "parcels")))
    finally:
        store.close()
    (row,) = [row for row in frame.to_pylist() if row["key_parcel_id"] == ASKED]
    return dict(row)


def frame_of(project: Project, table: pa.Table) -> pa.Table:
    (view,) = project.spec.views
    return training_frame(view, {"Parcel": table})


def check_explanations(shell: Shell, answers: list[Answer]) -> None:
    """Hold each explanation against the offline frame, bit by bit, and against what was answered."""
    for decision, way, row, probability in answers:
        why = shell.json("why", decision)
        assert why["missing"] == []
        assert why["decision"]["source"] == way
        assert why["decision"]["result"]["probability"] == probability
        assert {used["name"]: used["value"] for used in why["features"]} == {name: row[name] for name in FEATURES}
        assert (why["version"]["number"], why["approval"]["because"]) == (1, "first model")
        assert [snapshot["rows"] for snapshot in why["snapshots"]] == [2999]
        assert why["evaluation"]["record"]["passed"]
