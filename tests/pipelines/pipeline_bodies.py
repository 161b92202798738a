"""Bodies of steps for the tests of the orchestrator; workers import this file by its name."""

import ctypes
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from trimtab.kernel import Invalid, Unavailable
from trimtab.pipelines.protocol import Done, Sent


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


def keeps_bytes(context):
    """Keep bytes, and print a line."""
    print("kept")  # noqa: T201
    return {"blob": context.put_bytes(b"what a step keeps")}


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


def kills_its_program(context):
    """Kill the runner's process, above the supervisor, as a step that eats all memory may."""
    mark(context, "start")
    program = int(Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(program, signal.SIGKILL)
    time.sleep(600)


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


# --- bodies that attack their runner, mostly without meaning to ------------------------------------------------------


def forks_and_returns(context):
    """Fork; the child comes back into the worker's loop, long before its parent."""
    mark(context, "start")
    child = ctypes.CDLL(None).fork() if context.params["past_python"] else os.fork()
    if child == 0:
        if context.params["raises"]:
            raise ValueError("the child's")
        return {"from": "the child"}
    os.waitpid(child, 0)
    return {"from": "the parent"}


def answers_for_others(context):
    """Say on the worker's own channel what another process, or an earlier attempt, would say."""
    channel, mine = context._tell.func.__self__._channel, context._tell.args[0]
    done = Done(outputs=msgspec.Raw(b'{"from": "another"}'), blobs=(), seconds=1.0)
    earlier = msgspec.structs.replace(mine, fence=mine.fence - 1)
    other = msgspec.structs.replace(mine, run_id="another")
    for pid, about in ((os.getpid() + 1, mine), (os.getpid(), earlier), (os.getpid(), other), (os.getpid(), None)):
        channel.send(Sent(pid=pid, about=about, message=done))
    mark(context, "start")
    while not Path(context.params["file"]).exists():
        time.sleep(0.01)
    return {"from": "the step"}


def says_half_a_message(context):
    channel = context._tell.func.__self__._channel
    channel._end.send((1000).to_bytes(4) + b"{")
    mark(context, "start")
    time.sleep(600)


def leaves_a_holder_and_dies(context):
    """Leave a child that holds all that the worker holds, out of reach of the supervisor, whom it kills."""
    supervisor = os.getppid()
    holder = ctypes.CDLL(None).fork()
    if holder == 0:
        os.setsid()
        while True:
            time.sleep(1)
    Path(context.params["pids"]).write_text(str(holder))
    mark(context, "start")
    os.kill(supervisor, signal.SIGKILL)
    time.sleep(600)


def prints_much(context):
    line = "x" * 999 + "\n"
    for _ in range(context.params["lines"]):
        sys.stdout.write(line)
    sys.stdout.flush()
    subprocess.run([sys.executable, "-c", f"import sys; sys.stderr.write({'y' * 999 + chr(10)!r} * 100)"], check=True)
    return {}


def prints_in_c_for_ever(context):
    """Print from C code that holds the interpreter's lock, and so lets no thread of this process do anything."""
    mark(context, "start")
    write = ctypes.PyDLL(None).write
    line = b"z" * 4095 + b"\n"
    while True:
        write(1, line, len(line))


def returns_numbers_of_numpy(context):
    import numpy as np

    context.progress(np.int64(1), np.float32(2), np.str_("rows"))
    return {"auc": np.float64(0.5), "rows": np.int64(3), "good": np.bool_(True), "all": [np.float32(0.25)]}


def reads_the_store(context):
    """Use the store, as soon as a file says so; write down how that ended."""
    mark(context, "start")
    while not Path(context.params["file"]).exists():
        time.sleep(0.01)
    try:
        with context.store.read() as connection:
            connection.exec_driver_sql("SELECT 1")
    except BaseException:
        mark(context, "failed")
        raise
    return {"attempt": context.attempt}
