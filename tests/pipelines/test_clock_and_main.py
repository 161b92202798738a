"""Runners in programs of every kind: a project that lives in another time, a main module that nobody can import."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from tests.pipelines.conftest import HERE, pipeline, step

from trimtab.kernel import Actor, Settings, parse_time
from trimtab.pipelines import Runner, submit
from trimtab.store import open_store

SCRIPT = """
import sys
sys.path.insert(0, sys.argv[2])
from trimtab.kernel import Actor, Settings
from trimtab.pipelines import PipelineSpec, Runner, StepSpec, submit
from trimtab.store import open_store

store = open_store(Settings(home=sys.argv[1]))
spec = PipelineSpec(name="p", steps=(StepSpec(name="a", function="pipeline_bodies:where"),))
runner = Runner(store, workers=1)
run = runner.run_until_done(submit(store, spec, actor=Actor("me")).id)
print(run.status, run.outputs["a"]["now"][:4] > "2024")
"""


def test_a_program_without_a_main_file_runs_steps_and_leaves_no_worker_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-", str(tmp_path / "home"), str(HERE)],
        input=SCRIPT, capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "succeeded True\n", "")


def test_a_project_that_lives_in_2013_has_steps_that_do_too(tmp_path: Path, actor: Actor) -> None:
    store = open_store(Settings(home=str(tmp_path / "home"), clock="2013-06-01"))
    before, exact = store.clock.now(), timedelta(milliseconds=10)
    with Runner(store, workers=1) as runner:
        done = runner.run_until_done(submit(store, pipeline(step("a", "where")), actor=actor).id)
    now = parse_time(done.outputs["a"]["now"], where="test")
    assert before - exact <= now <= store.clock.now() + exact
    assert now.year == 2013
    store.close()
