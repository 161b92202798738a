"""A second version comes before people step by step, while they go on asking: no request fails."""

from tests.journeys.asking import body_of
from tests.journeys.project import write
from tests.journeys.shell import Shell, ask
from tests.journeys.traffic import Answered, Traffic
from tests.waiting import wait_until

from trimtab.serving import Decision, decisions
from trimtab.store import open_store

BODIES = [body_of({"parcel_id": f"p{number}"}) for number in range(2960, 3000)]


def test_shadow_canary_and_full_under_traffic(grown: Shell) -> None:
    shell = grown
    with shell.up() as server:
        server.wait_until_ready()
        with Traffic(server.url, "slow", BODIES, clients=3, pause_s=0.01) as traffic:
            traffic.wait_for(20)
            write(shell.folder, **{"strength=1.0": "strength=0.05"})
            plan = shell.run("plan", code=2).out
            assert "1 to change" in plan
            # The server takes part in the work that this submits; whoever is faster does a step.
            assert "slow@2 passed its gate" in shell.run("apply", "--yes", "--because", "try less").out
            assert traffic.versions(last=10) == {"1"}
            shell.run("approve", "slow@2", "--because", "as good")
            wait_until(lambda: mirrored(shell), "the shadow has seen requests")
            assert traffic.versions(last=10**6) == {"1"}, "a shadow answered"
            shell.run("serve", "slow@2", "--stage", "canary", "--percent", "40", "--because", "no harm seen")
            wait_until(lambda: traffic.versions(last=40) == {"1", "2"}, "both versions answer")
            shell.run("serve", "slow@2", "--because", "better")
            wait_until(lambda: traffic.versions(last=40) == {"2"}, "only the new version answers")
            shell.run("serve", "slow@1", "--stage", "shadow", "--because", "keep an eye on it")
            wait_until(lambda: any(one.version == 1 for one in mirrored(shell)), "it is a shadow")
            traffic.wait_for(60)
            assert traffic.versions(last=40) == {"2"}
        assert traffic.refused == []
        assert traffic.broken == []
        check_log(shell, traffic.answered)
    with shell.up() as server:
        server.wait_until_ready()
        status, answer = ask(server.url + "/v2/models/slow/infer", BODIES[0])
        assert (status, answer["model_version"]) == (200, "2"), "a restart serves what was routed"
    endpoint = shell.json("get", "endpoints", "slow")
    assert (endpoint["routing"]["champion"], endpoint["routing"]["shadow"]) == (2, [1])
    changes = [event for event in shell.events("serving.routing-changed") if event["data"]["endpoint"] == "slow"]
    assert [event["because"] for event in changes] == [
        "first model", "as good", "no harm seen", "better", "keep an eye on it",
    ]  # fmt: skip
    shell.run("plan", code=0)
    shell.run("verify")


def mirrored(shell: Shell) -> list[Decision]:
    return [one for one in logged(shell) if one.stage == "shadow"]


def logged(shell: Shell) -> list[Decision]:
    store = open_store(shell.settings)
    try:
        return decisions(store, "slow", limit=10**6)
    finally:
        store.close()


def check_log(shell: Shell, answered: list[Answered]) -> None:
    """Hold the log against what clients were told, and each mirrored row against the answer that it mirrors."""
    found = {one.id: one for one in logged(shell)}
    for one in answered:
        decision = found[one.id]
        assert (str(decision.version), decision.result["probability"]) == (one.version, one.probability)
        assert decision.stage in ("full", "canary")
    shadows = [one for one in found.values() if one.stage == "shadow"]
    assert {one.version for one in shadows} == {1, 2}
    for one in shadows:
        assert one.mirrors is not None
        assert found[one.mirrors].values == one.values
    assert {one.version for one in found.values() if one.stage == "canary"} == {2}
