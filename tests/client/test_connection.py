"""``tt.connect``: the whole path from approval to outcome in Python, from an empty folder, on a real server."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.client.conftest import left_in
from tests.journeys.project import copy_of_approved
from tests.journeys.shell import Shell

import trimtab as tt
from trimtab.kernel import Invalid, ServerUnreachable, TrimtabError
from trimtab.loop import NothingBefore
from trimtab.monitoring import Outcome
from trimtab.serving import DecisionUnknown
from trimtab.store import Store


@pytest.fixture
def shell(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Shell]:
    shell = copy_of_approved(tmp_path_factory, tmp_path_factory.mktemp("elsewhere") / "approved")
    yield shell
    assert not shell.close()


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("TRIMTAB_HOME", "TRIMTAB_SERVER", "TRIMTAB_TOKEN", "TRIMTAB_CLOCK"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_project_is_worked_on_from_elsewhere(shell: Shell, empty: Path) -> None:
    token = shell.run(
        "token",
        "create",
        "far",
        *(word for one in ("read", "predict", "log", "register", "approve", "admin") for word in ("--may", one)),
        "--because",
        "for elsewhere",
    ).out.strip()
    with shell.up() as server:
        server.wait_until_ready()
        with tt.connect(server.url, token=token) as there:
            assert {model.name for model in there.models()} == {"late", "slow"}
            assert [one.routing.endpoint for one in there.endpoints()] == ["late", "slow"]
            assert there.status().models
            answer = there.predict("slow", parcel_id="p2990")
            why = there.why(answer.decision)
            assert (why.decision.id, why.missing) == (answer.decision, ())
            kept = there.outcomes("slow", [Outcome(decision=answer.decision, value=1.0)], because="it came late")
            assert kept.new == 1
            assert there.decisions("slow", limit=1)[0].id == answer.decision
            assert there.lineage(f"decision:{answer.decision}").nodes
            assert there.versions("slow")["champion"].ref == "slow@1"
            assert there.export("slow@1", "slow.zip").is_file()
            assert there.verify().kind.value == "intact"
            assert there.events("monitoring.outcomes-recorded")[0].actor.id == "far"
            assert there.level("slow").model == "slow"
            assert there.turns("slow")
            assert {alert.endpoint for alert in there.alerts()} <= {"late", "slow"}
            assert len(there.runs(limit=1)) == 1
            with pytest.raises(TrimtabError, match="slow@1"):
                there.approve("slow@1", because="once more")
            with pytest.raises(DecisionUnknown):
                there.why("01JX0000000000000000000000")
            with pytest.raises(NothingBefore):
                there.rollback("slow", because="a try")
        assert re.fullmatch(r"<project at http://127\.0\.0\.1:\d+>", repr(there))
    assert left_in(empty) == ["slow.zip"]


def test_a_connection_is_to_a_server(empty: Path, monkeypatch: pytest.MonkeyPatch, busy: tuple[Store, str]) -> None:
    with pytest.raises(Invalid, match="no server is named"):
        tt.connect()
    with pytest.raises(Invalid, match="is not the address of a server"):
        tt.connect("nowhere")
    with tt.connect("http://127.0.0.1:9") as there, pytest.raises(ServerUnreachable):
        there.status()
    monkeypatch.setenv("TRIMTAB_SERVER", busy[1])
    with tt.connect() as there:
        assert [model.name for model in there.models()] == ["slow"]
        assert there.evaluation(there.versions("slow")[1].evaluation_id or "").record.n > 0
        assert there.diff("slow@1", "slow@2").now == "slow@2"
    assert left_in(empty) == []


def test_a_token_is_sent_to_the_server_that_it_was_set_for_alone(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIMTAB_SERVER", "http://127.0.0.1:9")
    monkeypatch.setenv("TRIMTAB_TOKEN", "trimtab_secret")
    assert "Authorization" in tt.connect()._server._headers
    assert "Authorization" not in tt.connect("http://127.0.0.1:10")._server._headers
