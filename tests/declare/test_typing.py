"""Editors and type checkers understand the language: mypy is quiet where the file is right, and only there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")
ROOT = Path(__file__).parents[2]

RIGHT_AND_WRONG = """
import trimtab as tt
import trimtab.features

class Flight(tt.Contract):
    flight_id: tt.Key[str]
    scheduled: tt.EventTime
    carrier: tt.Category = tt.one_of("AA", "UA")
    cargo: tt.Bool
    stops: tt.Int
    delay: tt.Float = tt.between(0, 100, missing=0.1)

reveal_type(Flight.delay)                                      # is NumberColumn
reveal_type(Flight.cargo)                                      # is NumberColumn
reveal_type(Flight.carrier)                                    # is CategoryColumn
reveal_type(Flight.scheduled)                                  # is TimeColumn
reveal_type(Flight.scheduled.hour)                             # is Number
reveal_type(Flight.scheduled - tt.hours(2))                    # is Moment
reveal_type(Flight.delay > 15)                                 # is Test
reveal_type(Flight.carrier == "AA")                            # is Test
reveal_type(1 - Flight.delay / 60 + Flight.stops)              # is Number
reveal_type(Flight.delay.mean(over="24h", by="carrier"))       # is Number
reveal_type(Flight.latest("delay", by=["carrier"], within="3h"))  # is LatestColumns
reveal_type(tt.auc >= 0.6)                                     # is Condition
reveal_type(tt.champion.latency.p99)                           # is Measure
reveal_type(tt.at_approval * 1.1)                              # is Quantity
reveal_type((tt.auc < 0.5) | (tt.errors > "1%"))               # is Policy
reveal_type(tt.shadow("1d") >> tt.canary(5, each="1h") >> tt.full)  # is Rollout

view = tt.features("v", of=Flight, decided=Flight.scheduled, columns=[Flight.delay, Flight.scheduled.hour])

@tt.model(view, label=Flight.delay > 15)
def late(X: list[int], y: list[int], rate: float = 0.1) -> str:
    return "fitted"

@tt.source(Flight, every="1h")
def flights() -> int:
    return 1

reveal_type(late([1], [2], rate=0.2))                          # is str
reveal_type(flights())                                         # is int
late.accept_if(tt.auc > 0.5).serve(rollout=tt.full).retrain_when(tt.every("30d"), approve=tt.by("me"))

Flight.dealy                                                   # wrong
Flight.carrier.mean(over="1h", by="carrier")                   # wrong
Flight.carrier > 15                                            # wrong
Flight.delay.mean(over="24h")                                  # wrong
Flight.scheduled + 3                                           # wrong
tt.logloss                                                     # wrong
tt.champion.acu                                                # wrong
tt.auc.wurst(by="carrier")                                     # wrong
tt.canary(5, 25)                                               # wrong
late([1])                                                      # wrong
late.accept_if(0.65)                                           # wrong
tt.source(Flight, path="a", sql="b")                           # wrong
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
