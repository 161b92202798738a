"""Take the pictures of the documentation: run the demo, open its pages in a headless browser, and look at them.

    .venv/bin/python docs/screenshot.py [--only endpoint] [--home FOLDER] [--replayed FOLDER]

Writes docs/images/*.png. Needs chromium on the path (or CHROMIUM) and what the demo needs. The pictures of the loop
show a year that was replayed: --replayed is the folder that this printed, and without it they stay as they are:

    trimtab replay examples/flights.py --from 2013-03-01 --to 2013-12-31

Look at each picture before committing it: nothing here knows whether it shows what it should.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
LARGEST_BYTES = 200_000
WIDTH = 1280
PAGES = {
    "endpoint": ("/ui/endpoints/late", 780),
    "version": ("/ui/models/late/1", 870),
    "decision": ("/ui/decisions/{decision}", 1075),
    "data": ("/ui/data/weather", 885),
}
"""Picture: the page of the demo that it shows, and how much of it, in pixels."""
REPLAYED = {
    "loop": ("/ui/loop/late", 960),
    "monitor": ("/ui/monitor/late?span=30d", 1000),
    "evaluation": ("/ui/models/late/{newest}/evaluation", 900),
    "lineage": ("/ui/lineage?about=endpoint:late", 760),
}
"""The same, of a replayed home."""
REPLAYED_TO = "2014-01-01T00:00:00Z"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", choices=sorted(PAGES | REPLAYED), action="append", help="these pictures only")
    parser.add_argument("--home", type=Path, help="folder of the demo's stores; a second run with it is quick")
    parser.add_argument("--replayed", type=Path, help="folder of a replay's stores, for the pictures of the loop")
    parser.add_argument("--at", default=REPLAYED_TO, help="when the replay's pages are looked at: just after its end")
    arguments = parser.parse_args()
    wanted = set(arguments.only or PAGES | REPLAYED)
    (DOCS / "images").mkdir(exist_ok=True)
    sizes: list[int] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if wanted & set(PAGES):
            # The pages show the name of the folder that the home is in.
            with demo(arguments.home or folder / "flights" / ".trimtab") as address:
                pages = {picture: page for picture, page in PAGES.items() if picture in wanted}
                sizes += take(address, pages, profile=folder / "browser", decision=newest_decision(address))
        if wanted & set(REPLAYED) and arguments.replayed is None:
            print("left as they are, without --replayed:", ", ".join(sorted(wanted & set(REPLAYED))))
        elif wanted & set(REPLAYED):
            with replayed(arguments.replayed, at=arguments.at) as address:
                pages = {picture: page for picture, page in REPLAYED.items() if picture in wanted}
                sizes += take(address, pages, profile=folder / "browser", newest=newest_version(address))
    return int(any(size > LARGEST_BYTES for size in sizes))


def take(address: str, pages: dict[str, tuple[str, int]], *, profile: Path, **names: str) -> list[int]:
    """Take pictures of pages, say how large each is, and return their sizes in bytes."""
    sizes = []
    for picture, (page, height) in pages.items():
        file = DOCS / "images" / f"{picture}.png"
        shoot(address + page.format(**names), file, height=height, profile=profile)
        sizes.append(file.stat().st_size)
        too_large = "  TOO LARGE" * (sizes[-1] > LARGEST_BYTES)
        print(f"{file.relative_to(ROOT)}  {sizes[-1] // 1000} kB{too_large}")
    return sizes


@contextmanager
def demo(home: Path) -> Iterator[str]:
    """Run the demo, yield its address when it serves, and end it."""
    port = free_port()
    script = ROOT / "examples" / "demo.py"
    command = [sys.executable, str(script), "--home", str(home), "--port", str(port), "--no-replay"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if "Pages:" in line:
                yield f"http://127.0.0.1:{port}"
                return
        sys.exit("the demo ended before it served anything; run ./dev demo to see why")
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


@contextmanager
def replayed(home: Path, *, at: str) -> Iterator[str]:
    """Serve the home of a replay as it stood at its end, yield its address, and end it."""
    port = free_port()
    settings = {"TRIMTAB_HOME": str(home.resolve()), "TRIMTAB_PORT": str(port), "TRIMTAB_CLOCK": at}
    command = [str(Path(sys.executable).parent / "trimtab"), "up"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | settings)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            with suppress(OSError), urllib.request.urlopen(f"{address}/readyz", timeout=10):
                break
            time.sleep(0.25)
        else:
            sys.exit(f"nothing answers from {home}; run trimtab --home {home} up to see why")
        yield address
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=60)


def newest_version(address: str) -> str:
    with urllib.request.urlopen(f"{address}/api/v1/models/late/versions?limit=1", timeout=10) as response:
        return str(json.load(response)["items"][0]["number"])


def newest_decision(address: str) -> str:
    with urllib.request.urlopen(f"{address}/api/v1/endpoints/late/decisions?limit=1", timeout=10) as response:
        return str(json.load(response)["items"][0]["id"])


def shoot(url: str, file: Path, *, height: int, profile: Path) -> None:
    """Write a picture of a page as a light browser window of that height shows it."""
    browser = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser") or "chromium"
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        f"--user-data-dir={profile}", "--hide-scrollbars", "--force-device-scale-factor=1",
        "--timeout=20000", f"--window-size={WIDTH},{height}", f"--screenshot={file}", url,
    ]  # fmt: skip
    file.unlink(missing_ok=True)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120)
    if not file.exists():
        sys.exit(f"{browser} made no picture of {url}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
