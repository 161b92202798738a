"""Take the pictures of the documentation: run the demo, open its pages in a headless browser, and look at them.

    .venv/bin/python docs/screenshot.py [--only endpoint] [--home FOLDER]

Writes docs/images/*.png. Needs chromium on the path (or CHROMIUM) and what the demo needs. Look at each picture before
committing it: nothing here knows whether it shows what it should.
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
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
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
"""Picture: the page that it shows, and how much of it, in pixels."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--only", choices=sorted(PAGES), action="append", help="these pictures only")
    parser.add_argument("--home", type=Path, help="folder of the demo's stores; a second run with it is quick")
    arguments = parser.parse_args()
    images = DOCS / "images"
    images.mkdir(exist_ok=True)
    too_large = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The pages show the name of the folder that the home is in.
        with demo(arguments.home or folder / "flights" / ".fairlead") as address:
            decision = newest_decision(address)
            for picture, (page, height) in PAGES.items():
                if arguments.only and picture not in arguments.only:
                    continue
                file = images / f"{picture}.png"
                shoot(address + page.format(decision=decision), file, height=height, profile=folder / "browser")
                size = file.stat().st_size
                too_large |= size > LARGEST_BYTES
                print(f"{file.relative_to(ROOT)}  {size // 1000} kB" + ("  TOO LARGE" * (size > LARGEST_BYTES)))
    return int(too_large)


@contextmanager
def demo(home: Path) -> Iterator[str]:
    """Run the demo, yield its address when it serves, and end it."""
    port = free_port()
    command = [sys.executable, str(ROOT / "examples" / "demo.py"), "--home", str(home), "--port", str(port)]
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
