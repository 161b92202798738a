"""Runs and processes: forks, programs that just end, and ``kill -9``."""

import os
import subprocess
import sys

import pytest
from tests.waiting import wait_until

import trimtab as tt
from trimtab.tracking import (
    RunStatus,
    check_seal,
    find_lost,
    get_run,
    read_console,
    search_runs,
    start_run,
)

say = print  # a user's script prints; ours does not


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_is_told_and_does_not_end_the_run(sqlite_store, record):
    with record() as run:
        run.log_metric("x", 1.0)
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                run.log_metric("x", 2.0)
            except tt.TrimtabError as error:
                code = 0 if "belongs to another process" in error.what else 2
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert get_run(sqlite_store, run.id).metrics["x"].points == 1


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_runs_of_forked_processes_become_children(store, actor, capfd):
    with start_run(store, experiment="sweep", actor=actor, capture=("console",)) as run:
        children = []
        for number in range(3):
            run.log_metric("started", number)
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    say("not in the parent's console")
                    with tt.run(f"try {number}", capture=()) as child:
                        child.log_metrics({"loss": number, "other": 1.0})
                    code = 0
                finally:
                    os._exit(code)
            children.append(pid)
        assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0, 0, 0]
    found = search_runs(store, f"parent = '{run.id}'", experiment="sweep", order_by="name").items
    assert [(one.name, one.status, one.metrics["loss"].value) for one in found] == [
        (f"try {number}", RunStatus.FINISHED, float(number)) for number in range(3)
    ]
    assert get_run(store, run.id).metrics["started"].points == 3
    assert read_console(store, run.id) == ""


SCRIPT = """
import sys, time
import trimtab as tt
from trimtab.kernel import Settings
run = tt.run("doomed", settings=Settings(home=sys.argv[1], database=sys.argv[2]), capture=("console",))
for n in range(1000):
    run.log_metric("x", n)
print("printed before", file=sys.stderr)
run.flush()
sys.__stdout__.write(run.id + "\\n"); sys.__stdout__.flush()
n = 1000
while len(sys.argv) < 4:
    run.log_metric("x", n)
    n += 1
    time.sleep(0.0005)
"""


def test_kill_9_loses_nothing_that_was_flushed_and_the_run_is_found(store):
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, store.settings.home, store.settings.database],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    run_id = child.stdout.readline().strip()
    assert get_run(store, run_id).metrics["x"].points >= 1000
    wait_until(lambda: get_run(store, run_id).metrics["x"].points > 1000, "it has written on by itself", alive=child)
    child.kill()
    child.wait()
    child.stdout.close()
    points = get_run(store, run_id).metrics["x"].points
    assert points > 1000  # what was written by itself later is there as well
    assert [run.id for run in find_lost(store)] == [run_id]
    found = get_run(store, run_id)
    assert found.status is RunStatus.LOST
    assert found.seal.points == points
    assert check_seal(store, run_id) == ()
    assert read_console(store, run_id) == "printed before\n"
    assert find_lost(store) == []


def test_a_program_that_just_ends_ends_its_run(sqlite_store):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, sqlite_store.settings.home, "", "end"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    found = get_run(sqlite_store, done.stdout.strip())
    assert found.status is RunStatus.FINISHED
    assert found.metrics["x"].points == 1000
