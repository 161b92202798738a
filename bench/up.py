"""How long until `trimtab up` is healthy, and what it needs while nobody asks: as JSON, with the limits beside it."""

import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMITS = {"import_s": 0.3, "help_s": 0.4, "healthy_s": 3.0, "idle_mb": 250.0, "processes": 1}
IDLE_S = 5.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--home", help="serve this home instead of empty ones")
    parser.add_argument("--clock", default="system")
    arguments = parser.parse_args()
    importing = [_timed("import trimtab") for _ in range(arguments.runs)]
    helping = [_timed("from trimtab.cli import main; main(['--help'])") for _ in range(arguments.runs)]
    starts = [_start(arguments.home, arguments.clock) for _ in range(arguments.runs)]
    found = {
        "import_s": statistics.median(importing),
        "help_s": statistics.median(helping),
        "healthy_s": statistics.median(start["healthy_s"] for start in starts),
        "healthy_cpu_s": statistics.median(start["healthy_cpu_s"] for start in starts),
        "ready_s": statistics.median(start["ready_s"] for start in starts),
        "idle_mb": max(start["idle_mb"] for start in starts),
        "processes": max(start["processes"] for start in starts),
        "first_page_s": statistics.median(start["first_page_s"] for start in starts),
        "second_page_s": statistics.median(start["second_page_s"] for start in starts),
    }
    print(json.dumps({
        "bench": "up", "runs": arguments.runs, "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1),
        "found": {name: round(value, 3) for name, value in found.items()}, "limits": LIMITS,
        "passed": all(found[name] <= limit for name, limit in LIMITS.items()),
    }, indent=2))  # fmt: skip


def _timed(code: str) -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def _start(home: str | None, clock: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(home or temporary) / ("" if home else "home")
        address = folder / "server.json"
        words = ["--home", str(folder), "--clock", clock, "up", "--port", "0"]
        code = "from trimtab.cli import main; main()"
        began = time.perf_counter()
        server = subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL)
        try:
            port = _port(address, server)
            healthy = _until(port, "/healthz", began)
            cpu = _cpu_s(server.pid)
            ready = _until(port, "/readyz", began)
            time.sleep(IDLE_S)
            processes = [server.pid, *_children(server.pid)]
            idle = sum(_pss_mb(pid) for pid in processes)
            pages = [_page(port) for _ in range(2)]
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(timeout=30)
    return {
        "healthy_s": healthy, "healthy_cpu_s": cpu, "ready_s": ready, "idle_mb": idle, "processes": len(processes),
        "first_page_s": pages[0], "second_page_s": pages[1],
    }  # fmt: skip


def _port(address: Path, server: "subprocess.Popen[bytes]") -> int:
    while True:
        if server.poll() is not None:
            sys.exit("the server ended")
        try:
            found = json.loads(address.read_text())
            if found["pid"] == server.pid:
                return int(found["url"].rpartition(":")[2])
        except (FileNotFoundError, json.JSONDecodeError):
            pass
        time.sleep(0.005)


def _until(port: int, path: str, began: float) -> float:
    while _get(port, path) != 200:
        time.sleep(0.01)
    return time.perf_counter() - began


def _page(port: int) -> float:
    began = time.perf_counter()
    assert _get(port, "/ui") == 200
    return time.perf_counter() - began


def _get(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *_children(int(child))]
    return found


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _pss_mb(pid: int) -> float:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    kilobytes = next(line.split()[1] for line in text.splitlines() if line.startswith("Pss:"))
    return int(kilobytes) / 1024


if __name__ == "__main__":
    main()
