"""Records may be decoded by several threads from the first time on."""

import subprocess
import sys

PROGRAM = """
import sys, threading
import msgspec
from trimtab.kernel import prepare_records

def decoded(kind, together):
    together.wait()
    msgspec.json.decode(b'{"one": {"one": {"two": "x"}, "two": "x"}, "two": "x"}', type=kind)

sys.setswitchinterval(1e-7)
for _ in range(200):
    kinds = {}
    kind = int
    for number in range(30):
        fields = [("one", kind | None, None), *((f"{name}", str | None, None) for name in ("two", "three", "four"))]
        kind = msgspec.defstruct(f"Kind{number}", fields)
    prepare_records()
    together = threading.Barrier(4)
    threads = [threading.Thread(target=decoded, args=(kind, together)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_threads_may_decode_a_kind_of_record_at_once() -> None:
    """Without being prepared, they end the process at the first few tries."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
