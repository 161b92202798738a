"""Bodies of steps for the tests of the orchestrator; workers import this file by its name."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from trimtab.kernel import Invalid, Unavailable


def mark(context, what):
    """Append a line to the run's side file, in one write, so that no kill can tear it."""
    line = f"{what} {context.run_id} {context.step} {context.attempt} {context.fence} {os.getpid()}\n"
    file = os.open(context.params["marks"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, line.encode())
    os.close(file)


def echo(context):
    return {"params": context.params, "inputs": context.inputs, "actor": context.actor.id, "because": context.because}


def marked(context):
    mark(context, "start")
    return {"step": context.step, "seen": {name: outputs.get("step") for name, outputs in context.inputs.items()}}


def where(context):
    return {"pid": os.getpid(), "group": os.getpgrp(), "now": context.store.clock.now().isoformat()}


def work(context):
    """A little of everything: a frame, bytes, a wait, and an output that depends on the inputs."""
    import pyarrow as pa

    mark(context, "start")
    seen = sorted((need, outputs["sum"]) for need, outputs in context.inputs.items())
    total = sum(value for _, value in seen) + len(context.step) + int(context.params["seed"])
    frame = context.put_frame(pa.table({"value": list(range(total % 50 + 1))}))
    time.sleep(context.params.get("sleep_s", 0.03))
    kept = context.put_bytes(f"{context.step} {total}".encode())
    mark(context, "end")
    return {"sum": total, "frame": frame, "kept": kept, "rows": context.frame(frame).num_rows}


def fails(context):
    mark(context, "start")
    raise ValueError(f"no good at attempt {context.attempt}\nSELECT secret FROM somewhere")


def fails_until(context):
    mark(context, "start")
    if context.attempt < context.params["good_at"]:
        raise Unavailable("the source does not answer", where="test", why="It is asleep.", next="try again")
    return {"attempt": context.attempt}


def mistaken(context):
    mark(context, "start")
    raise Invalid("the column depth is missing", where="contract Flight", why="The model needs it.", next="add it")


def exits(context):
    sys.exit(3)


def returns_a_list(context):
    return [1, 2]


def returns_nan(context):
    return {"auc": float("nan")}


def returns_much(context):
    return {"text": "x" * (2 << 20)}


def speaks(context):
    sys.stdout.write("printed\n")
    sys.stderr.write("to stderr\n")
    subprocess.run(["/bin/echo", "from a child"], check=True)
    context.log("logged: žluťoučký")
    for i in range(5):
        context.progress(i + 1, 5, "rows")
    return {}


def waits_for_file(context):
    """Says that it waits, and ends when the file is there."""
    mark(context, "start")
    sys.stdout.write("waiting\n")
    while not Path(context.params["file"]).exists():
        time.sleep(0.01)
    mark(context, "end")
    return {"saw": True}


def waits_for_another(context):
    """Ends when steps have begun in another process, too."""
    mark(context, "start")
    while len({line.split()[-1] for line in Path(context.params["marks"]).read_text().splitlines()}) < 2:
        time.sleep(0.01)
    return {}


def kills_itself(context):
    mark(context, "start")
    os.kill(os.getpid(), signal.SIGKILL)


def kills_itself_once(context):
    mark(context, "start")
    if context.attempt == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"attempt": context.attempt}


def never_ends(context):
    mark(context, "start")
    while True:
        pass


def never_ends_in_c(context):
    """Hold the interpreter's lock for ever, and leave a child asleep."""
    child = subprocess.Popen(["/bin/sleep", "600"])
    Path(context.params["pids"]).write_text(f"{os.getpid()} {child.pid}")
    mark(context, "start")
    re.match(r"(a+)+$", "a" * 64 + "b")


def sleeps_with_child(context):
    child = subprocess.Popen(["/bin/sleep", "600"])
    Path(context.params["pids"]).write_text(f"{os.getpid()} {child.pid}")
    mark(context, "start")
    time.sleep(600)


def sleeps_with_detached(context):
    """Start what leaves the process group: a session of its own, and a daemon that forks twice."""
    child = subprocess.Popen(["/bin/sleep", "600"], start_new_session=True)
    daemon = "import os, time; os.setsid(); pid = os.fork(); print(pid, flush=True) if pid else time.sleep(600)"
    parent = subprocess.Popen([sys.executable, "-c", daemon], stdout=subprocess.PIPE)
    forked = int(parent.stdout.readline())
    parent.wait()
    Path(context.params["pids"]).write_text(f"{os.getpid()} {child.pid} {forked}")
    mark(context, "start")
    if context.params.get("crashes"):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(600)


def crashes_in_c(context):
    ctypes.string_at(0)
