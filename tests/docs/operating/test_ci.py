"""The workflow: its steps are run, in order, as they stand, for a pull request and for the merge."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml
from tests.docs.operating.machine import commands
from tests.docs.pages import DOCS, ROOT

WORKFLOW = ROOT / "deploy" / "github" / "trimtab.yml"
PAGE = DOCS / "guide" / "operating" / "ci.md"


class Runner:
    """A runner of the repository: a checkout, the programs of this environment, and what GitHub tells a step."""

    def __init__(self, folder: Path) -> None:
        self.checkout = folder / "checkout"
        self.checkout.mkdir()
        self.summary = folder / "summary.md"
        plain = {name: value for name, value in os.environ.items() if not name.startswith("TRIMTAB_")}
        path = f"{Path(sys.executable).parent}:{plain['PATH']}"
        self.environment = plain | {"PATH": path, "NO_COLOR": "1", "TRIMTAB_HOME": str(folder / "home")}

    def job(self, name: str, *, message: str = "", fails: bool = False) -> str:
        """Do the steps of a job; return its summary. ``fails``: one of them is to fail."""
        self.summary.write_text("")
        failed = False
        for step in workflow()["jobs"][name]["steps"]:
            if "uses" in step:
                assert step["uses"] == "actions/checkout@v4"
                continue
            given = {"GITHUB_STEP_SUMMARY": str(self.summary)}
            for variable, value in step.get("env", {}).items():
                assert value == "${{ github.event.head_commit.message }}"
                given[variable] = message
            assert "${{" not in step["run"], "what others write must never become a part of a script"
            if failed and step.get("if") != "always()":
                continue
            done = self.sh(step["run"], given)
            failed = failed or done.returncode != 0
            assert fails or not failed, done.stdout + done.stderr
        assert failed == fails
        return self.summary.read_text()

    def sh(self, script: str, given: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """Run a script as the runner does: in the checkout, ended by the first command that fails."""
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", script], cwd=self.checkout, env=self.environment | (given or {}),
            capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip


def workflow() -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(WORKFLOW.read_text("utf-8"), yaml.BaseLoader)
    return found


def test_a_pull_request_is_planned_and_its_merge_applied(tmp_path: Path) -> None:
    runner = Runner(tmp_path)
    assert runner.sh("trimtab init").returncode == 0
    planned = runner.job("plan")
    assert "5 to add" in planned
    assert runner.sh("test ! -e .trimtab").returncode == 0, "the plan changed something"

    evil = 'a first try"; touch /tmp/never; echo "'
    applied = runner.job("apply", message=evil)
    assert "late@1" in applied
    assert evil.strip() in runner.sh("trimtab get events -n 100 -o yaml").stdout.replace('\\"', '"')
    assert "there is nothing to do" in runner.job("plan")

    for line in commands(PAGE):
        done = runner.sh(line)
        assert done.returncode == 0, f"$ {line}\n{done.stdout}{done.stderr}"

    file = runner.checkout / "trimtab_project.py"
    text = file.read_text("utf-8")
    file.write_text(text.replace("tt.between(0, 40)", "tt.between(40, 0)"), "utf-8")
    runner.job("plan", fails=True)
    assert "late@1" in runner.job("apply", message="a mistake", fails=True), "what waits is said also then"


def test_who_may_plan_and_who_may_apply() -> None:
    found = workflow()
    assert set(found["on"]) == {"pull_request", "push"}
    assert found["on"]["push"]["branches"] == ["main"]
    plan, apply = found["jobs"]["plan"]["if"], found["jobs"]["apply"]["if"]
    assert "github.event_name == 'pull_request'" in plan
    assert "github.event.pull_request.head.repo.full_name == github.repository" in plan
    assert apply == "github.event_name == 'push'"
    assert found["permissions"] == {"contents": "read"}
