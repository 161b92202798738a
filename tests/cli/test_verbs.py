"""The verbs on a home where much has happened, and the whole path from an empty folder."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
import yaml
from tests.cli.conftest import Type
from tests.loop.parcels import write_project
from tests.seeded import DECISIONS, Seeded

from trimtab.cli.verbs.get import NOUNS

LISTED = [noun for noun in NOUNS if noun != "tokens"]


def _json(text: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(text)
    return found


@pytest.mark.parametrize("noun", NOUNS)
def test_every_noun_is_listed_in_every_form(at_seeded: Type, noun: str) -> None:
    table, records = at_seeded("get", noun), _json(at_seeded("get", noun, "-o", "json").out)
    assert table.code == 0
    assert records
    assert len(table.out.splitlines()) >= len(records) + 2
    assert yaml.safe_load(at_seeded("get", noun, "-o", "yaml").out)
    rows = list(csv.DictReader(io.StringIO(at_seeded("get", noun, "-o", "csv").out)))
    assert len(rows) == len(records)


@pytest.mark.parametrize("noun", NOUNS)
def test_a_noun_without_anything_says_so(at_begun: Type, noun: str) -> None:
    assert at_begun("get", noun, "-o", "json").out == "[]\n"
    typed = at_begun("get", noun)
    assert (typed.code, bool(typed.out)) == (0, True)


def test_yaml_says_the_same_as_json(at_seeded: Type) -> None:
    for noun in LISTED:
        said = yaml.safe_load(at_seeded("get", noun, "-o", "yaml").out)
        assert said == _json(at_seeded("get", noun, "-o", "json").out)


def test_one_thing_is_shown_by_its_name(at_seeded: Type, seeded: Seeded) -> None:
    for words, says in (
        (("source", "parcels"), "broken promises"),
        (("view", "parcel"), "depot_delay_mean_24h (float)"),
        (("run", seeded.runs[0]), "rate = 0.1"),
        (("pipelines", seeded.failed), "there is no module trimtab.nothing_here"),
        (("model", "slow"), "challenger @3"),
        (("version", "slow@2"), "approved"),
        (("endpoint", "slow"), "@1 90 %, @2 canary 10 %"),
        (("decision", seeded.decisions[0]), "depot"),
        (("event", "0"), "pipelines.run-submitted"),
    ):
        typed = at_seeded("get", *words)
        assert (typed.code, says in typed.out) == (0, True), typed


def test_listings_are_narrowed(at_seeded: Type) -> None:
    assert {e["type"] for e in _json(at_seeded("get", "events", "--type", "registry.", "-o", "json").out)} == {
        "registry.model-added", "registry.version-registered", "registry.version-approved", "registry.alias-moved",
        "registry.release-issued",
    }  # fmt: skip
    by_ben = _json(at_seeded("get", "events", "--actor", "ben", "-o", "json").out)
    assert by_ben
    assert all(event["actor"] == {"id": "ben", "kind": "person"} for event in by_ben)
    about = _json(at_seeded("get", "events", "--subject", "version:slow@2", "-o", "json").out)
    assert "registry.version-approved" in {event["type"] for event in about}
    assert len(_json(at_seeded("get", "decisions", "slow", "-n", "7", "-o", "json").out)) == 7
    assert len(_json(at_seeded("get", "decisions", "-o", "json").out)) == DECISIONS
    best = _json(at_seeded("get", "runs", "--filter", "metrics.auc > 0.7 and params.rate = '0.1'", "-o", "json").out)
    assert [run["name"] for run in best] == ["first try"]


def test_status_tells_what_waits(at_seeded: Type) -> None:
    typed = at_seeded("status")
    for says in ("slow: @1 90 %, @2 canary 10 %", "slow@3 waits for someone", "nightly ", "1 set aside"):
        assert says in typed.out
    assert typed.out.endswith('Next: trimtab approve slow@3 --because "..."\n')


def test_status_is_data_too(at_seeded: Type) -> None:
    found = json.loads(at_seeded("status", "-o", "json").out)
    assert found["next"].startswith("trimtab approve slow@3")
    assert found["server"] is None
    assert found["models"] == [{"model": "slow", "versions": 3, "champion": 1, "waiting": 1}]
    assert [(one["version"], one["approve_by"]) for one in found["waiting"]] == [("slow@3", None)]
    assert [(one["endpoint"], one["champion"]) for one in found["endpoints"]] == [("slow", 1)]
    assert found["sources"][0]["set_aside_rows"] == 1
    assert [(one["pipeline"], one["status"], one["steps_done"]) for one in found["failed"]] == [
        ("nightly", "failed", 1)
    ]
    assert yaml.safe_load(at_seeded("status", "-o", "yaml").out)["models"] == found["models"]


def test_doctor_finds_everything_well(at_seeded: Type) -> None:
    typed = at_seeded("doctor")
    assert typed.code == 0
    for says in ("environment TRIMTAB_HOME", "sqlite, in use", "intact", "duckdb"):
        assert says in typed.out


def test_doctor_tells_what_is_broken(at_begun: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIMTAB_DATABASE", "mysql://nowhere")
    typed = at_begun("doctor")
    assert (typed.code, "the database URL cannot be used" in typed.out) == (1, True)


def test_data_is_shown(at_seeded: Type) -> None:
    aside = _json(at_seeded("data", "show", "parcels", "--set-aside", "-o", "json").out)
    assert [row["weight"] for row in aside] == [400.0]
    assert "promised 0 to 50" in str(aside[0]["reason"])
    rows = at_seeded("data", "show", "parcels", "-n", "3")
    assert len(rows.out.splitlines()) == 5
    assert "the last 3 of 2999 rows" in rows.err
    january = _json(at_seeded("data", "show", "parcels", "--month", "2013-01", "-n", "10000", "-o", "json").out)
    assert len(january) == 31 * 48 - 1
    assert at_seeded("data", "show", "parcels", "--month", "2013").code == 1
    profile = at_seeded("data", "show", "parcels", "--profile")
    assert re.search(r"^weight +float", profile.out, re.MULTILINE)


def test_a_decision_is_explained(at_seeded: Type, seeded: Seeded) -> None:
    typed = at_seeded("why", seeded.decisions[0])
    assert typed.code == 0
    for says in (
        "by slow@1",
        "depot_delay_mean_24h",
        "Data parcels",
        "Evaluation on",
        "Approved by ben",
        "first model",
        "took         not measured: the clock stood still, as in a replay",
    ):
        assert says in typed.out
    assert json.loads(at_seeded("why", seeded.decisions[0], "-o", "json").out)["missing"] == []


def test_the_ledger_is_verified_here_and_elsewhere(at_seeded: Type, trimtab: Type, tmp_path: Path) -> None:
    typed = at_seeded("verify", "--export", "ledger.log")
    assert (typed.code, typed.out.startswith("intact: ")) == (0, True)
    assert json.loads(at_seeded("verify", "-o", "json").out)["kind"] == "intact"
    exported = tmp_path / "ledger.log"
    assert at_seeded("verify", str(exported)).code in (0, 2)
    exported.write_bytes(exported.read_bytes().replace(b"first model", b"worst model", 1))
    assert at_seeded("verify", str(exported)).code == 1


def test_logs_of_a_pipeline_are_read(at_seeded: Type, seeded: Seeded) -> None:
    assert "there is no module" in at_seeded("logs", seeded.failed).out
    assert "== snapshot-parcels, attempt 1: succeeded" in at_seeded("logs", seeded.applied).out
    assert at_seeded("logs", seeded.applied, "nothing").code == 1


def test_a_token_is_issued_once_listed_and_revoked(trimtab: Type) -> None:
    may = ("--may", "log:late", "--may", "read")
    typed = trimtab("token", "create", "ci", *may, "--because", "pipeline", "--expires", "12h")
    assert re.fullmatch(r"trimtab_[\w-]{43}\n", typed.out)
    (listed,) = _json(trimtab("token", "list", "-o", "json").out)
    assert (listed["name"], listed["may"]) == ("ci", ["read", "log:late"])
    assert typed.out.strip() not in str(listed)
    assert "would revoke token ci" in trimtab("token", "revoke", "ci", "--dry-run").out
    asked = trimtab("token", "revoke", "ci")
    assert (asked.code, "add --yes" in asked.err) == (1, True)
    assert trimtab("token", "revoke", "ci", "--yes", "--because", "over").code == 0
    assert "revoked" in trimtab("token", "list").out


def test_dry_runs_change_nothing(at_seeded: Type) -> None:
    before = at_seeded("get", "events", "-n", "1", "-o", "json").out
    for words in (
        ("approve", "slow@3", "--dry-run"), ("reject", "slow@3", "--dry-run"), ("serve", "slow@2", "--dry-run"),
        ("apply", "--dry-run"), ("init", "other.py", "--dry-run"), ("plan",), ("run", "slow", "--dry-run"),
        ("token", "create", "ci", "--dry-run"),
    ):  # fmt: skip
        assert at_seeded(*words).code == 0, words
    assert at_seeded("get", "events", "-n", "1", "-o", "json").out == before
    assert not Path("other.py").exists()


def test_who_approves_is_told_what_the_monitor_can_find(at_seeded: Type) -> None:
    told = at_seeded("approve", "slow@3", "--dry-run").out
    assert "  monitor On the " in told
    assert "in one column alone is found in the first window with a power of " in told
    assert re.search(r"  level   .* (is found within 14 days with 80 %|is not known: it takes an evaluation on)", told)


def test_from_an_empty_folder_to_a_decision_that_is_explained(trimtab: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(Path("trimtab_project.py"))
    planned = trimtab("plan")
    assert (planned.code, "weight 400" in planned.out) == (2, True)
    assert trimtab("apply").code == 1, "nobody is there to be asked"
    applied = trimtab("apply", "--yes", "--because", "the first parcels")
    assert (applied.code, "slow@1 passed its gate" in applied.out) == (0, True), applied
    assert "train-slow done" in applied.err
    assert trimtab("plan").code == 0
    refused = trimtab("approve", "slow@1")
    assert (refused.code, "no reason was given" in refused.err) == (1, True)
    approved = trimtab("approve", "slow@1", "--because", "first model")
    assert (approved.code, "self-approved" in approved.out) == (0, True)
    routed = trimtab("serve", "slow", "--route-only")
    assert (routed.code, "slow: @1 100 %" in routed.out) == (0, True)
    predicted = trimtab("predict", "slow", "--example", "-o", "json")
    assert predicted.code == 0, predicted
    decision = json.loads(predicted.out)["decision"]
    assert "first model" in trimtab("why", decision).out
    again = trimtab("run", "parcels")
    assert again.code == 0, again
    assert trimtab("verify").code == 0


def test_the_first_project_runs_as_it_is(trimtab: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `init` writes reads the machine's own clock, so the project lives in the present here."""
    monkeypatch.setenv("TRIMTAB_CLOCK", "system")
    wrote = trimtab("init")
    assert (wrote.code, "Next: trimtab plan" in wrote.out) == (0, True)
    assert trimtab("init").code == 1, "a file that is there is not overwritten"
    planned = trimtab("plan")
    assert planned.code == 2, planned
    applied = trimtab("apply", "--yes")
    assert (applied.code, "late@1 passed its gate" in applied.out) == (0, True), applied
