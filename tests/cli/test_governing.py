"""export, verify, diff, level and get lineage, as somebody types them."""

import json
from pathlib import Path

import pytest
from tests.cli.conftest import Type


@pytest.fixture
def pack(at_seeded: Type) -> Path:
    typed = at_seeded("export", "slow@2", "-o", "slow.zip")
    assert typed.code == 0, typed.err
    assert typed.out.startswith("Wrote the evidence of slow@2 as of position ")
    return Path("slow.zip")


def test_export_and_verify(at_seeded: Type, trimtab: Type, pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = at_seeded("verify", str(pack))
    assert (typed.code, typed.out.splitlines()[0]) == (0, "intact: the evidence of slow@2 is intact")
    assert "data check (event" in typed.out
    assert json.loads(at_seeded("verify", str(pack), "-o", "json").out)["kind"] == "intact"
    key = at_seeded("export", "slow@2", "-o", "again.zip").out.split()[-1]
    assert Path("again.zip").read_bytes() == pack.read_bytes()
    monkeypatch.setenv("TRIMTAB_HOME", "elsewhere")
    assert trimtab("verify", str(pack)).code == 2
    assert trimtab("verify", str(pack), "--key", key).code == 0
    assert not Path("elsewhere").exists(), "verifying a pack needs no store"


def test_a_pack_that_was_changed(at_seeded: Type, pack: Path) -> None:
    pack.write_bytes(pack.read_bytes().replace(b"as good, and simpler", b"as good, and SIMPLER"))
    typed = at_seeded("verify", str(pack))
    assert typed.code == 1
    assert typed.out.startswith("tampered: approvals/")
    assert "do not rely on it" in typed.out
    pack.write_bytes(pack.read_bytes()[:1000])
    assert at_seeded("verify", str(pack)).code == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["verify", "none.zip"], "none.zip cannot be read"),
        (["verify", "slow.zip", "--key", "none"], "is not a ledger's public key"),
    ],
)
def test_a_mistake_in_verify(at_seeded: Type, pack: Path, words: list[str], said: str) -> None:
    typed = at_seeded(*words)
    assert typed.code == 3
    assert said in typed.err


def test_as_of_a_position(at_seeded: Type) -> None:
    entered = json.loads(at_seeded("get", "events", "--subject", "version:slow@2", "-o", "json").out)[-1]["position"]
    typed = at_seeded("export", "slow@2", "-o", "early.zip", "--at-position", str(entered))
    assert typed.out.startswith(f"Wrote the evidence of slow@2 as of position {entered} to early.zip")
    assert at_seeded("verify", "early.zip").code == 0
    assert at_seeded("export", "slow@2", "--at-position", str(entered - 1)).code == 1


def test_a_card_in_each_form(at_seeded: Type) -> None:
    for suffix, start in (("html", "<!doctype html>"), ("md", "# Model card: slow@1"), ("json", '{"missing":[]')):
        assert at_seeded("export", "slow", "--as", "card", "-o", f"card.{suffix}").code == 0
        assert Path(f"card.{suffix}").read_text("utf-8").startswith(start)
    assert "names no form of a card" in at_seeded("export", "slow", "--as", "card", "-o", "card.pdf").err
    assert "cannot be written" in at_seeded("export", "slow", "-o", "nowhere/slow.zip").err


def test_diff(at_seeded: Type) -> None:
    typed = at_seeded("diff", "slow@1", "slow@2")
    assert typed.code == 0
    assert "  ~ strength  1 > 0.5  (-0.5)" in typed.out
    assert "Data: the same (7 compared)" in typed.out
    assert json.loads(at_seeded("diff", "slow@1", "slow@2", "-o", "json").out)["now"] == "slow@2"
    assert at_seeded("diff", "slow@1", "slow@9").code == 1


def test_level(at_begun: Type, at_seeded: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    typed = at_seeded("level")
    assert typed.out.startswith("slow: level 0, manual process")
    assert "Next, towards level 1: " in typed.out
    assert at_seeded("level", "slow").out == typed.out
    assert json.loads(at_seeded("level", "-o", "json").out)[0]["level"] == 0
    assert at_seeded("level", "fast").code == 1
    monkeypatch.setenv("TRIMTAB_HOME", ".trimtab")
    assert "No model yet" in at_begun("level").out


def test_lineage(at_seeded: Type) -> None:
    typed = at_seeded("get", "lineage", "slow@1")
    assert typed.code == 0
    assert "trained on, snapshot snap_" in typed.out
    assert {
        node["kind"] for node in json.loads(at_seeded("get", "lineage", "endpoint:slow", "-o", "json").out)["nodes"]
    }
    assert "version:slow@2" in at_seeded("get", "lineage").out
    then = at_seeded("get", "lineage", "slow@1", "--at", "2013-03-01T12:30")
    assert "answers: full, 100 %" in then.out
    assert "answers: full, 90 %" in at_seeded("get", "lineage", "slow@1").out
    assert at_seeded("get", "lineage", "slow@2", "--at", "2013-03-01T12:30").code == 1
    assert at_seeded("get", "lineage", "late").code == 1


def test_lineage_as_of_a_position(at_seeded: Type) -> None:
    found = json.loads(at_seeded("get", "events", "--type", "serving.routing-changed", "-o", "json").out)
    positions = sorted(event["position"] for event in found)
    for position, said in ((positions[0], "full, 100 %"), (positions[1], "shadow")):
        version = "slow@1" if position == positions[0] else "slow@2"
        assert f"answers: {said}" in at_seeded("get", "lineage", version, "--at-position", str(position)).out
    assert at_seeded("get", "lineage", "slow@1", "--at-position", "99999").code == 1
    assert at_seeded("get", "lineage", "--at-position", "0").out.count("\n") < 4
    for words, why in (
        (["get", "runs", "--at-position", "3"], "Only lineage is told by positions"),
        (["get", "lineage", "--at-position", "3", "--at", "2013-03-01T12:30"], "A time is given as well"),
        (["get", "lineage", "--at-position", "3", "--watch"], "does not change any more"),
    ):
        typed = at_seeded(*words)
        assert (typed.code, why in typed.err) == (1, True)
