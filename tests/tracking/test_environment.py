"""What surrounds a run is noted without asking: packages, Python, the state of the code."""

import subprocess
import sys

import numpy as np

from trimtab.tracking import (
    environment,
    find_artifact,
    get_run,
    read_artifact,
)
from trimtab.tracking.environment import capture_code


def git(folder, *words):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


def test_the_surroundings_are_noted(sqlite_store, record, tmp_path, monkeypatch):
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "train.py").write_text("one\n")
    git(folder, "add", "train.py")
    git(folder, "commit", "-q", "-m", "one")
    git(folder, "remote", "add", "origin", "https://alice:secret@example.org/x.git")
    (folder / "train.py").write_text("two\n")
    (folder / "new.py").write_text("x")
    monkeypatch.chdir(folder)
    with record(capture=("environment",)) as run:
        noted = run.environment
    assert noted.packages["numpy"] == np.__version__
    assert noted.python == ".".join(map(str, sys.version_info[:3]))
    code = noted.code
    assert code.dirty
    assert code.untracked == ("new.py",)
    assert code.remote == "https://example.org/x.git"
    diff = read_artifact(sqlite_store, find_artifact(sqlite_store, run.id, "environment/uncommitted.diff"))
    assert b"-one\n+two" in diff
    assert code.diff == find_artifact(sqlite_store, run.id, "environment/uncommitted.diff").digest
    assert find_artifact(sqlite_store, run.id, "environment/environment.json")
    tags = get_run(sqlite_store, run.id).tags
    assert tags == {"git.branch": "main", "git.commit": code.commit, "git.dirty": "true"}


def test_code_is_noted_from_the_top_and_silence_is_not_taken_for_unchanged(tmp_path, monkeypatch):
    below = tmp_path / "below"
    below.mkdir()
    git(tmp_path, "init", "-q", "-b", "main")
    for name in ("top.py", "below/a.py"):
        (tmp_path / name).write_text("one\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    git(tmp_path, "config", "diff.relative", "true")
    git(tmp_path, "remote", "add", "origin", "https://alice:sec@ret@example.org/x.git")
    kept = []

    def keep(diff):
        kept.append(diff)
        return "digest"

    clean = capture_code(below, keep=keep)
    assert (clean.dirty, clean.remote, kept) == (False, "https://example.org/x.git", [])
    (tmp_path / "new.py").write_text("x")
    assert capture_code(below, keep=keep).untracked == ("new.py",)
    (tmp_path / "new.py").unlink()
    (tmp_path / "top.py").write_text("two\n")
    assert capture_code(below, keep=keep).dirty
    assert b"a/top.py" in kept[0]
    monkeypatch.setattr(environment, "DIFF_LIMIT_BYTES", 10)
    large = capture_code(below, keep=keep)
    assert (large.dirty, large.diff, large.diff_bytes) == (True, None, len(kept[0]))
    git(tmp_path, "checkout", "-q", "top.py")
    run = environment.subprocess.run

    def slow(words, **given):
        if "diff" in words:
            raise subprocess.TimeoutExpired(words, 10)
        return run(words, **given)

    monkeypatch.setattr(environment.subprocess, "run", slow)
    assert capture_code(below, keep=keep).dirty


def test_outside_of_git_there_is_no_code_state(record, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with record(capture=("environment",)) as run:
        assert run.environment.code is None
    with record() as bare:
        assert bare.environment is None
