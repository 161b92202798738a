"""Everything that can be listed, in every form that a person or a script reads."""

import csv
import io
import json
import subprocess
import sys
from itertools import product

import yaml
from tests.journeys.shell import Shell
from tests.waiting import PATIENCE_S

NOUNS = {
    "sources": 1, "snapshots": 1, "views": 1, "runs": 2, "experiments": 2, "pipelines": 1, "models": 2, "versions": 2,
    "evaluations": 2, "endpoints": 2, "decisions": 2, "events": None, "tokens": 1,
}  # fmt: skip
"""How many there are of each in the prepared project, once two decisions were made; None: many."""
ONE = ("sources parcels", "views parcel", "models slow", "versions slow@1", "endpoints late", "events 3")
MANY = """
import io, json, sys
from contextlib import redirect_stdout
from trimtab.cli.main import run
for line in sys.stdin:
    with redirect_stdout(io.StringIO()) as printed:
        code = run(json.loads(line))
    print(json.dumps([code, printed.getvalue()]), flush=True)
"""
"""Runs many command lines in one process: starting it costs more than a listing."""


def printed(shell: Shell, commands: list[list[str]]) -> list[str]:
    """Type many commands, one after the other, and return what each printed."""
    typed = "".join(json.dumps(command) + "\n" for command in commands)
    done = subprocess.run(
        [sys.executable, "-c", MANY], cwd=shell.folder, env=shell.environment, input=typed, capture_output=True,
        text=True, timeout=PATIENCE_S, check=True,
    )  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [code for code, _ in answers] == [0] * len(commands), done.stderr
    return [text for _, text in answers]


def test_every_noun_in_every_form(placed: Shell) -> None:
    """Hold the forms of each listing against each other: the same things, whoever reads them."""
    placed.run("predict", "slow", "--example")
    placed.run("predict", "late", "--example")
    placed.run("token", "create", "reader")
    forms = ("json", "yaml", "csv", "table")
    commands = [["get", *noun.split(), "-o", form] for noun, form in product([*NOUNS, *ONE], forms)]
    texts = printed(placed, commands)
    found = {(str(command[1:-2]), command[-1]): text for command, text in zip(commands, texts, strict=True)}
    for noun, count in NOUNS.items():
        name = str([noun])
        things = json.loads(found[name, "json"])
        assert isinstance(things, list), f"{noun}: a listing is a list"
        assert len(things) == count if count is not None else len(things) > 30, noun
        assert yaml.safe_load(found[name, "yaml"]) == things, noun
        heading, *rows = csv.reader(io.StringIO(found[name, "csv"]))
        assert len(rows) == len(things), noun
        assert {len(row) for row in rows} == {len(heading)}, noun
        table = found[name, "table"].splitlines()
        assert table[0].split()[0].lower() == heading[0].split("_")[0]
        assert len(table) >= len(things) + 1
    for one in ONE:
        name = str(one.split())
        thing = json.loads(found[name, "json"])
        assert isinstance(thing, dict), one
        assert yaml.safe_load(found[name, "yaml"]) == thing, one
        assert next(csv.reader(io.StringIO(found[name, "csv"]))) == ["name", "value"]
        assert found[name, "table"].strip()


def test_what_else_there_is_to_look_at(placed: Shell) -> None:
    aside = placed.json("data", "show", "parcels", "--set-aside")
    assert [(row["parcel_id"], "400" in row["reason"]) for row in aside] == [("p7", True)]
    status = placed.json("status")
    assert [(one["endpoint"], one["champion"]) for one in status["endpoints"]] == [("late", 1), ("slow", 1)]
    assert status["running"] == status["failed"] == []
    (pipeline,) = placed.json("get", "pipelines")
    log = placed.run("logs", pipeline["id"], "train-slow").out
    assert "trained on 2663 rows" in log
    checks = {line["name"]: line["state"] for line in placed.json("doctor") if line["kind"] == "check"}
    assert set(checks.values()) == {"ok"}, checks
    assert "Next: trimtab up" in placed.run().out


def test_words_that_mean_nothing_end_with_the_code_that_the_guide_names(placed: Shell) -> None:
    assert "no verb" in placed.run("frobnicate", code=2).err
    assert "there is nothing called" in placed.run("get", "sauces", code=1).err
    assert "no decision" in placed.run("why", "01JX0000000000000000000000", code=1).err
    assert placed.run("plan", "--nonsense", code=1).err
    assert placed.run("verify", "--nonsense", code=3).err
    assert "there is no project file" in placed.run("plan", "nowhere.py", code=1).err
