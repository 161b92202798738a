"""How long a replayed year takes: the example from March to December, decided, watched and retrained hour by hour.

    python bench/replay.py [--from 2013-03-01] [--to 2013-12-31] [--home FOLDER]

Prints JSON, with the limits of the project for the whole span on 2 cores.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT_S, LIMIT_MB = 300.0, 1500.0
FLIGHTS = Path(__file__).parent.parent / "examples" / "flights.py"
COMMAND = "from trimtab.cli.main import main; main()"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="start", default="2013-03-01")
    parser.add_argument("--to", dest="end", default="2013-12-31")
    parser.add_argument("--home", default="")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = options.home or folder
        command = [
            sys.executable, "-c", COMMAND, "--home", home, "replay", str(FLIGHTS), "--from", options.start,
            "--to", options.end, "-o", "json",
        ]  # fmt: skip
        started = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    report = json.loads(done.stdout)
    peak_mb = used.ru_maxrss / 1000
    found = {
        "bench": "replay", "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1), "seconds": round(seconds, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1), "largest_process_mb": round(peak_mb),
        "decisions": report["decisions"], "decisions_per_s": round(report["decisions"] / seconds),
        "training_s": round(report["training_s"], 1), "turns": report["turns"], "promoted": report["promoted"],
        "rolled_back": report["rolled_back"], "refused": report["refused"], "pages": report["pages"],
        "mean_log_loss": report["loss"], "mean_auc": report["auc"], "events": report["events"], "root": report["root"],
        "limits": {"seconds": LIMIT_S, "largest_process_mb": LIMIT_MB, "mean_log_loss": 0.490, "turns": 8},
        "passed": seconds <= LIMIT_S and peak_mb <= LIMIT_MB and report["loss"] <= 0.490 and report["turns"] <= 8,
    }  # fmt: skip
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
