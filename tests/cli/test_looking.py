"""``--watch`` and ``--follow``: listings and logs that go on, on a terminal and without one."""

import json
import os
import pty
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.journeys.shell import TRIMTAB, Shell
from tests.waiting import PATIENCE_S

from trimtab.cli.following import follow_server
from trimtab.cli.looking import CLEAR
from trimtab.cli.session import Session

LIVE_STEP = """
import os, time

def body(context):
    for number in range(6):
        print("line", number, flush=True)
        while number == 2 and not os.path.exists("read"):
            time.sleep(0.02)
    return {}
"""
"""Says half of what it has to say, and the rest when somebody has read that."""


@pytest.fixture
def shell(tmp_path: Path, migrated: Path) -> Iterator[Shell]:
    """A shell in a folder with a project in which nothing has happened yet."""
    shell = Shell(tmp_path)
    shell.home.mkdir()
    shutil.copy(migrated, shell.home / "trimtab.db")
    try:
        yield shell
    finally:
        assert not shell.close()


def test_a_listing_is_printed_again_only_when_it_differs(shell: Shell) -> None:
    process = shell.start("get", "tokens", "--watch", "--every", "0.1", "-o", "json")
    assert process.stdout is not None
    assert process.stdout.readline() == "[]\n"
    shell.run("token", "create", "first")
    listed = _document(process)
    assert [token["name"] for token in json.loads(listed)] == ["first"]
    shell.run("token", "create", "second")
    assert [token["name"] for token in json.loads(_document(process))] == ["second", "first"]
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, rest) == (0, "")


def test_a_terminal_is_drawn_anew(shell: Shell) -> None:
    reader, writer = pty.openpty()
    process = subprocess.Popen(
        [TRIMTAB, "status", "-w", "--every", "0.2"], cwd=shell.folder, env={**shell.environment, "TERM": "xterm"},
        stdout=writer, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(writer)
    seen = b""
    while seen.count(CLEAR.encode()) < 3:
        seen += os.read(reader, 65536)
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 0
    os.close(reader)
    first = seen.split(CLEAR.encode())[1].decode()
    assert "not running" in first
    assert "Next: trimtab init" in first
    assert "every 0.2 s; Ctrl C ends" in first


def test_a_wrong_word_ends_a_watch_before_it_begins(shell: Shell) -> None:
    assert "there is nothing called" in shell.run("get", "sauces", "--watch", code=1).err
    assert "0.1<=x" in shell.run("get", "tokens", "--watch", "--every", "0", code=2).err


def test_a_run_is_followed_until_it_is_over(shell: Shell) -> None:
    """The steps run in this process's home, by a runner of their own, while somebody else reads along."""
    (shell.folder / "bodies.py").write_text(LIVE_STEP, "utf-8")
    program = shell.folder / "program.py"
    program.write_text(
        "from trimtab.kernel import Actor, load\n"
        "from trimtab.pipelines import PipelineSpec, Runner, StepSpec, submit\n"
        "from trimtab.store import open_store\n"
        "store = open_store(load()[0])\n"
        "steps = (StepSpec(name='one', function='bodies:body'), StepSpec(name='two', function='bodies:body',"
        " needs=('one',)))\n"
        "run = submit(store, PipelineSpec(name='live', steps=steps), actor=Actor('ann'), because='look')\n"
        "print(run.id, flush=True)\n"
        "with Runner(store, workers=1) as runner:\n"
        "    runner.run_until_done(run.id)\n"
        "store.close()\n",
        "utf-8",
    )
    command = [str(TRIMTAB.parent / "python"), str(program)]
    environment = shell.environment | {
        "PYTHONPATH": os.pathsep.join([str(shell.folder), os.environ.get("PYTHONPATH", "")])
    }
    with subprocess.Popen(command, cwd=shell.folder, env=environment, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        run_id = running.stdout.readline().strip()
        followed = shell.start("logs", run_id, "--follow")
        assert followed.stdout is not None
        half = [followed.stdout.readline() for _ in range(4)]
        (shell.folder / "read").touch()
        rest, _ = followed.communicate(timeout=PATIENCE_S)
        said = "".join(half) + rest
        one = shell.run("logs", run_id, "two", "-f").out
    assert followed.returncode == 0, said
    lines = "".join(f"line {number}\n" for number in range(6))
    assert said == f"== one, attempt 1\n{lines}== two, attempt 1\n{lines}== one: succeeded\n== two: succeeded\n"
    assert one == f"== two, attempt 1\n{lines}== two: succeeded\n"
    assert "no step" in shell.run("logs", run_id, "three", "-f", code=1).err


def test_the_servers_log_is_followed_over_its_rotation(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session()
    session.override("home", str(shell.home))
    file = shell.home / "logs" / "server.log"
    file.parent.mkdir()
    file.write_text("".join(f"old {number}\n" for number in range(10)), "utf-8")
    monkeypatch.setattr("trimtab.cli.following.LOOKS_EVERY_S", 0.01)
    said = follow_server(session, 2)
    assert next(said) == "old 8\nold 9\n"
    with file.open("a", encoding="utf-8") as opened:
        opened.write("new\n")
    assert next(filter(None, said)) == "new\n"
    file.rename(shell.home / "logs" / "server.log.1")
    file.write_text("after the rotation\n", "utf-8")
    assert next(filter(None, said)) == "after the rotation\n"
    session.close()


def test_a_server_that_has_nothing_to_say_yet_is_waited_for(shell: Shell) -> None:
    process = shell.start("logs", "--follow")
    assert process.stdout is not None
    file = shell.home / "logs" / "server.log"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("first\n", "utf-8")
    assert process.stdout.readline() == "first\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE_S) == 0
    process.stdout.close()


def _document(process: "subprocess.Popen[str]") -> str:
    """Read one JSON list that stands over several lines."""
    assert process.stdout is not None
    lines = [process.stdout.readline()]
    while lines[-1] != "]\n":
        lines.append(process.stdout.readline())
        assert lines[-1], "it ended"
    return "".join(lines)
