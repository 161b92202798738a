"""How long evidence takes: verifying a long ledger, an evidence pack out of it, lineage, and verifying without us.

    python bench/governance.py [--events 200000] [--sealed 2000]

Prints JSON. A small model is trained, approved and routed; then the ledger grows to ``--events``, of which ``--sealed``
are sealed segments of that model's decisions, spread over the whole length: each is in the pack, with its proof.
Next to the seconds on the clock stand those of the processor, which say more on a busy machine.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.loop.parcels import write_project

from trimtab.declare import load_project
from trimtab.governance import (
    diff,
    evidence_pack,
    level,
    lineage,
    model_card,
    verify_evidence,
    verify_offline,
)
from trimtab.kernel import Actor, Settings, VirtualClock, digest_of_bytes
from trimtab.loop import apply_project, approve_version
from trimtab.serving import DecisionsSealed
from trimtab.store import Event, Store, Subject, export_log, ledger_size, open_store, verify

ACTOR = Actor("bench")
LIMITS_S = {"verify_store": 4.0, "evidence_pack": 5.0}


class ThingMade(Event):
    type: ClassVar[str] = "bench.thing-made"
    thing: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("thing", self.thing),)


def seconds(work: Callable[[], Any]) -> dict[str, float]:
    started, used = time.perf_counter(), time.process_time()
    work()
    return {"clock_s": round(time.perf_counter() - started, 3), "processor_s": round(time.process_time() - used, 3)}


def live(store: Store, folder: Path) -> None:
    """Train and approve a first version, and train a second one."""
    project = write_project(folder / "parcels.py")
    apply_project(store, load_project(project), actor=ACTOR, because="bench")
    approve_version(store, "slow@1", actor=ACTOR, because="bench")
    write_project(project, **{"strength=1.0": "strength=0.5"})
    apply_project(store, load_project(project), actor=ACTOR, because="bench")


def grow(store: Store, events: int, sealed: int) -> None:
    digest = digest_of_bytes(b"a segment")
    missing = events - ledger_size(store)
    every = max(1, missing // max(1, sealed))
    for start in range(0, missing, 1000):
        with store.change(ACTOR, "bench", durable=False) as change:
            for n in range(start, min(start + 1000, missing)):
                id_ = store.ids.new()
                if n % every == 0:
                    change.record(
                        DecisionsSealed(
                            segment_id=id_, endpoint="slow", digest=digest, size_bytes=9, count=40, first_id=id_,
                            last_id=id_, by_version={"slow@1": 40},
                        )
                    )  # fmt: skip
                else:
                    change.record(ThingMade(thing=id_))
    store.checkpoint()


def measure(store: Store, folder: Path) -> dict[str, Any]:
    key = store.checkpoint().key
    pack, log = folder / "slow.zip", folder / "ledger.jsonl"
    found: dict[str, Any] = {"verify_store": seconds(lambda: verify(store))}
    found["evidence_pack"] = seconds(lambda: pack.write_bytes(evidence_pack(store, "slow@1").data))
    found["verify_pack"] = seconds(lambda: verify_evidence(pack, keys=[key]))
    found["model_card"] = seconds(lambda: model_card(store, "slow@1"))
    found["diff"] = seconds(lambda: diff(store, "slow@1", "slow@2"))
    found["level"] = seconds(lambda: level(store, "slow"))
    found["lineage_of_source"] = seconds(lambda: lineage(store, "source:parcels"))
    export_log(store, log)
    script = verify_offline.__file__
    for name, file in (("pack", pack), ("log", log)):
        command = [sys.executable, "-I", "-S", script, str(file), "--key", key]
        found[f"verify_{name}_standard_library_only"] = seconds(
            lambda c=command: subprocess.run(c, check=True, capture_output=True)
        )  # type: ignore[misc]
    return {
        "measured": found,
        "pack_bytes": pack.stat().st_size,
        "verdict": verify_evidence(pack, keys=[key]).what,
        "limits_s": LIMITS_S,
        "held": all(found[name]["clock_s"] <= limit for name, limit in LIMITS_S.items()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure evidence.")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--sealed", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        clock = VirtualClock(datetime(2013, 3, 1, tzinfo=UTC))
        store = open_store(Settings(home=str(folder / "home")), clock=clock)
        live(store, folder)
        grow(store, options.events, options.sealed)
        found = {
            "setup": {"cpus": os.cpu_count(), "python": platform.python_version(), "events": ledger_size(store)},
            **measure(store, folder),
        }
        store.close()
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
