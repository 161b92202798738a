"""``kill -9`` of a worker while it trains, and of the program that ``up`` then goes on from."""

from collections.abc import Callable
from pathlib import Path

from tests.faults.evidence import Outcome, check_each_step_finished_once, check_nothing_lies_about, check_tracking
from tests.faults.test_apply_killed import APPLY
from tests.journeys.project import LongFit, write
from tests.journeys.shell import Shell, kill
from tests.waiting import wait_until


def test_a_worker_killed_while_it_trains_is_replaced(
    tmp_path: Path, long_fit: LongFit, tidy: Callable[[Shell], Shell]
) -> None:
    shell = tidy(Shell(tmp_path / "project"))
    write(shell.folder, models=1, **long_fit.text(shell.folder))
    process = shell.start(*APPLY)
    assert process.stdout is not None
    with process:
        said = []
        for line in process.stdout:
            said.append(line)
            if line.startswith("train-slow ..."):
                wait_until(lambda: long_fit.has_begun, "it trains", alive=process)
                for pid in workers(shell):
                    kill(pid)
                (shell.folder / "quick").touch()
        assert process.wait() == 0, said
    assert any(line.startswith("train-slow: tries again") and "SIGKILL" in line for line in said), "".join(said)
    (run,) = shell.json("get", "pipelines")
    check_each_step_finished_once(shell, run)
    assert {step["name"]: step["attempts"] for step in run["steps"]}["train-slow"] == 2
    states = sorted(one["status"] for one in shell.json("get", "runs"))
    assert states in (["finished"], ["finished", "lost"])
    assert len(Outcome(shell).versions) == 1
    shell.run("verify")
    check_nothing_lies_about(shell)


def test_up_goes_on_with_an_apply_that_was_killed(approved: Shell, long_fit: LongFit) -> None:
    shell = approved
    write(shell.folder, models=2, **long_fit.text(shell.folder))
    process = shell.start(*APPLY)
    assert process.stdout is not None
    with process:
        next(line for line in process.stdout if line.startswith("train-slow ..."))
        wait_until(lambda: long_fit.has_begun, "it trains", alive=process)
        kill(process.pid)
    wait_until(lambda: not shell.processes(), "its workers have ended")
    (shell.folder / "quick").touch()
    with shell.up() as server:
        server.wait_until_ready()
        wait_until(lambda: is_over(shell), "the run is over", alive=server.process)
    newest, _ = shell.json("get", "pipelines")
    check_each_step_finished_once(shell, newest)
    shell.run("plan", code=0)
    check_tracking(shell, finished=[3])
    assert [(number, status) for number, status, _ in Outcome(shell).versions] == [(2, "candidate"), (1, "approved")]
    assert "slow@2" in shell.run("approve", "slow@2", "--because", "as good").out
    shell.run("verify")
    check_nothing_lies_about(shell)


def workers(shell: Shell) -> list[int]:
    return [pid for pid, command in shell.processes().items() if "pipelines/supervisor.py" in command]


def is_over(shell: Shell) -> bool:
    return all(run["finished_at"] for run in shell.json("get", "pipelines"))
