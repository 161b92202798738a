"""Editors and type checkers understand the language: mypy is quiet where the file is right, and only there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")
ROOT = Path(__file__).parents[2]

RIGHT_AND_WRONG = """
import fairlead as fl
import fairlead.features

class Flight(fl.Contract):
    flight_id: fl.Key[str]
    scheduled: fl.EventTime
    carrier: fl.Category = fl.one_of("AA", "UA")
    cargo: fl.Bool
    stops: fl.Int
    delay: fl.Float = fl.between(0, 100, missing=0.1)

reveal_type(Flight.delay)                                      # is NumberColumn
reveal_type(Flight.cargo)                                      # is NumberColumn
reveal_type(Flight.carrier)                                    # is CategoryColumn
reveal_type(Flight.scheduled)                                  # is TimeColumn
reveal_type(Flight.scheduled.hour)                             # is Number
reveal_type(Flight.scheduled - fl.hours(2))                    # is Moment
reveal_type(Flight.delay > 15)                                 # is Test
reveal_type(Flight.carrier == "AA")                            # is Test
reveal_type(1 - Flight.delay / 60 + Flight.stops)              # is Number
reveal_type(Flight.delay.mean(over="24h", by="carrier"))       # is Number
reveal_type(Flight.latest("delay", by=["carrier"], within="3h"))  # is LatestColumns
reveal_type(fl.auc >= 0.6)                                     # is Condition
reveal_type(fl.champion.latency.p99)                           # is Measure
reveal_type(fl.at_approval * 1.1)                              # is Quantity
reveal_type((fl.auc < 0.5) | (fl.errors > "1%"))               # is Policy
reveal_type(fl.shadow("1d") >> fl.canary(5, each="1h") >> fl.full)  # is Rollout

view = fl.features("v", of=Flight, decided=Flight.scheduled, columns=[Flight.delay, Flight.scheduled.hour])

@fl.model(view, label=Flight.delay > 15)
def late(X: list[int], y: list[int], rate: float = 0.1) -> str:
    return "fitted"

@fl.source(Flight, every="1h")
def flights() -> int:
    return 1

reveal_type(late([1], [2], rate=0.2))                          # is str
reveal_type(flights())                                         # is int
late.accept_if(fl.auc > 0.5).serve(rollout=fl.full).retrain_when(fl.every("30d"), approve=fl.by("me"))

Flight.dealy                                                   # wrong
Flight.carrier.mean(over="1h", by="carrier")                   # wrong
Flight.carrier > 15                                            # wrong
Flight.delay.mean(over="24h")                                  # wrong
Flight.scheduled + 3                                           # wrong
fl.logloss                                                     # wrong
fl.champion.acu                                                # wrong
fl.auc.wurst(by="carrier")                                     # wrong
fl.canary(5, 25)                                               # wrong
late([1])                                                      # wrong
late.accept_if(0.65)                                           # wrong
fl.source(Flight, path="a", sql="b")                           # wrong
"""


def test_what_mypy_says(tmp_path: Path) -> None:
    file = tmp_path / "file.py"
    file.write_text(RIGHT_AND_WRONG)
    settings = tmp_path / "mypy.ini"
    # A user's settings: mypy's own, and packages without types are no error.
    settings.write_text(f"[mypy]\nignore_missing_imports = true\nmypy_path = {ROOT / 'src'}\n")
    example = ROOT / "examples" / "flights.py"
    command = [sys.executable, "-m", "mypy", "--config-file", str(settings), "--cache-dir", str(tmp_path / "cache")]
    run = subprocess.run([*command, str(example), str(file)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert run.returncode in (0, 1), run.stderr
    said = re.findall(r"^(.*?):(\d+): (error|note): (.*)$", run.stdout, re.MULTILINE)
    assert not [line for line in said if "file.py" not in line[0]], run.stdout
    lines = RIGHT_AND_WRONG.splitlines()
    wrong = {number for number, line in enumerate(lines, start=1) if line.endswith("# wrong")}
    assert {int(line) for _, line, kind, _ in said if kind == "error"} == wrong, run.stdout
    expected = {n: line.rpartition("# is ")[2] for n, line in enumerate(lines, start=1) if "# is " in line}
    revealed = {int(n): text for _, n, kind, text in said if kind == "note" and text.startswith("Revealed type is")}
    assert {n: text.split('"')[1].rpartition(".")[2].rstrip("?") for n, text in revealed.items()} == expected
