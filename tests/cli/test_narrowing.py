"""What a listing leaves out is said, what it does not know is refused, and CSV holds every figure in its own column."""

import csv
import io
import json

import pytest
from tests.cli.conftest import Type
from tests.seeded import Seeded

from trimtab.cli.nouns.noun import Noun
from trimtab.cli.verbs.get import NARROWING, NOUNS, noun_named

TYPED = {
    "limit": "3", "filter": "metrics.auc > 0", "order_by": "metrics.auc desc", "type": "registry.", "actor": "ann",
    "subject": "model:slow", "since": "2013-01-01", "until": "2014-01-01",
}  # fmt: skip


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("option", NARROWING)
def test_an_option_is_known_to_a_noun_or_refused(at_seeded: Type, noun: str, option: str) -> None:
    known: Noun = noun_named(noun)
    typed = at_seeded("get", noun, NARROWING[option], TYPED[option])
    if option == "limit" or option in known.takes:
        assert typed.code == 0, typed.err
    else:
        assert (typed.code, typed.out) == (1, "")
        assert f"cannot be narrowed by {NARROWING[option]}" in typed.err


def test_every_option_is_known_to_some_noun() -> None:
    takes = {name for noun in NOUNS for name in noun_named(noun).takes}
    assert takes | {"limit"} == set(NARROWING) == set(TYPED)


@pytest.mark.parametrize(("noun", "name"), [("events", "3"), ("models", "slow"), ("versions", "slow@2")])
def test_a_single_thing_is_not_narrowed(at_seeded: Type, noun: str, name: str) -> None:
    assert at_seeded("get", noun, name).code == 0
    typed = at_seeded("get", noun, name, "-n", "5")
    assert (typed.code, "narrow a list" in typed.err) == (1, True)


def test_two_types_of_events_are_refused(at_seeded: Type) -> None:
    typed = at_seeded("get", "events", "registry.", "--type", "serving.")
    assert (typed.code, "two types" in typed.err) == (1, True)


@pytest.mark.parametrize("noun", NOUNS)
@pytest.mark.parametrize("form", ["table", "json", "yaml", "csv"])
def test_a_list_that_goes_on_says_so_beside_the_data(at_seeded: Type, noun: str, form: str) -> None:
    count = len(json.loads(at_seeded("get", noun, "-n", "5000", "-o", "json").out))
    whole = at_seeded("get", noun, "-n", str(max(count, 1)), "-o", form)
    assert whole.err == "", "nothing is left out"
    if count > 1:
        cut = at_seeded("get", noun, "-n", str(count - 1), "-o", form)
        assert f"the first {count - 1}, and there are more" in cut.err
        assert cut.out != whole.out
        if form == "json":
            assert json.loads(cut.out) == json.loads(whole.out)[: count - 1]


def test_past_lists_say_it_too(at_seeded: Type) -> None:
    typed = at_seeded("get", "versions", "-n", "2", "--at", "2013-03-01T14:30", "-o", "json")
    assert (len(json.loads(typed.out)), "there are more" in typed.err) == (2, True)


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_runs_have_one_column_for_each_metric_and_param(at_seeded: Type, seeded: Seeded) -> None:
    rows = {row["run"]: row for row in rows_of(at_seeded("get", "runs", "by hand", "-o", "csv").out)}
    runs = {run["id"]: run for run in json.loads(at_seeded("get", "runs", "by hand", "-o", "json").out)}
    assert set(rows) == set(runs) == set(seeded.runs)
    for id_, run in runs.items():
        for key, measured in run["metrics"].items():
            assert float(rows[id_][f"metrics.{key}"]) == measured["value"], "to the last digit"
        for key, value in run["params"].items():
            assert rows[id_][f"params.{key}"] == value


def test_decisions_and_evaluations_have_one_column_for_each_figure(at_seeded: Type) -> None:
    (row, *_), (decision, *_) = (
        rows_of(at_seeded("get", "decisions", "-o", "csv").out),
        json.loads(at_seeded("get", "decisions", "-o", "json").out),
    )
    assert float(row["result.probability"]) == decision["result"]["probability"]
    assert row["key.parcel_id"] == decision["key"]["parcel_id"]
    assert (row["latency_us"], decision["latency_us"]) == ("", 0), "a clock that stands still measures nothing"
    (row, *_), (found, *_) = (
        rows_of(at_seeded("get", "evaluations", "-o", "csv").out),
        json.loads(at_seeded("get", "evaluations", "-o", "json").out),
    )
    for name, measured in found["headline"].items():
        assert float(row[f"metrics.{name}"]) == measured["value"]
        assert float(row[f"metrics.{name}.low"]) == measured["low"]
    assert row["model_digest"] == found["model_digest"]


def test_one_record_as_csv_is_whole(at_seeded: Type) -> None:
    found = json.loads(at_seeded("get", "version", "slow@2", "-o", "json").out)
    rows = dict(csv.reader(io.StringIO(at_seeded("get", "version", "slow@2", "-o", "csv").out)))
    assert rows["artifacts.model"] == found["artifacts"]["model"]
    assert rows["lineage.snapshots.0"] == found["lineage"]["snapshots"][0]
    assert rows["verdict_passed"] == "true"


def test_rows_that_are_left_out_are_said_in_every_form(at_seeded: Type) -> None:
    for form in ("table", "json", "csv"):
        assert "the last 20 of 2999 rows" in at_seeded("data", "show", "parcels", "-o", form).err
    assert at_seeded("data", "show", "parcels", "--profile", "--set-aside").code == 1


def test_a_log_that_is_cut_says_so(at_seeded: Type, seeded: Seeded) -> None:
    whole = at_seeded("logs", seeded.applied)
    assert whole.err == ""
    cut = at_seeded("logs", seeded.applied, "-n", "1")
    assert (cut.out.splitlines(), "the last 1 of" in cut.err) == (whole.out.splitlines()[-1:], True)


def test_what_belongs_to_nothing_is_refused(at_seeded: Type) -> None:
    typed = at_seeded("get", "--filter", "metrics.auc > 0")
    assert (typed.code, "no noun says which" in typed.err) == (1, True)
    typed = at_seeded("logs", "server", "train-slow")
    assert (typed.code, "has no step" in typed.err) == (1, True)
