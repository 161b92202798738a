"""How long it takes until a user's first word works: ``import trimtab`` and ``trimtab --help``.

Each is a fresh interpreter, timed from outside, with compiled modules as an installation has them; the median of n is
printed beside that of ``python -c pass``, the limit that nobody can go below. Run: python bench/imports.py [--n 15]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec

BARE = [sys.executable, "-c", "pass"]
TARGETS_S = {"import trimtab": 0.3, "trimtab --help": 0.4}


def median_s(command: list[str], n: int, compiled: str) -> float:
    """Return the median time of n runs after one that compiles the modules into the folder ``compiled``."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = compiled
    times = []
    for _ in range(n + 1):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=15)
    n = parser.parse_args().n
    with tempfile.TemporaryDirectory() as compiled:
        json.dump(measured(n, compiled), sys.stdout, indent=2)
    print()


def measured(n: int, compiled: str) -> dict[str, object]:
    """Measure each command and return the report."""
    bare = median_s(BARE, n, compiled)
    commands = {"import trimtab": [sys.executable, "-c", "import trimtab"]}
    if find_spec("trimtab.cli") is not None:
        # What the installed command runs, wherever it is installed.
        start = "import sys; sys.argv = ['trimtab', '--help']; from trimtab.cli import main; main()"
        commands["trimtab --help"] = [sys.executable, "-c", start]
    results = []
    for name, command in commands.items():
        seconds = median_s(command, n, compiled)
        target = TARGETS_S[name]
        results.append({"what": name, "median_s": round(seconds, 4), "target_s": target, "met": seconds <= target})
    return {"bench": "imports", "n": n, "bare_python_s": round(bare, 4), "results": results}


if __name__ == "__main__":
    main()
