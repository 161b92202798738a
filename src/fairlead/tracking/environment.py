"""Note what a run ran in: Python, packages, machine, and where the code stood in git."""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from fairlead.kernel import digest_of, digest_of_bytes
from fairlead.tracking.process import this_host
from fairlead.tracking.records import CodeState, Environment

DIFF_LIMIT_BYTES = 5 << 20
GIT_TIMEOUT_S = 10.0
_UNTRACKED_SHOWN = 200


def capture_environment(*, folder: Path | None = None, keep: Callable[[bytes], str] | None = None) -> Environment:
    """Return what this process runs in.

    ``folder`` (the current one) is where git is asked. ``keep`` is given the uncommitted diff and returns its digest;
    without it the diff is digested and forgotten. Environment variables and arguments are left out: they hold secrets.
    """
    packages = installed_packages()
    python, machine = platform.python_version(), platform.machine()
    system = f"{platform.system()} {platform.release()}"
    implementation = platform.python_implementation()
    return Environment(
        python=python,
        implementation=implementation,
        platform=system,
        machine=machine,
        host=this_host(),
        cpu=_cpu(),
        cpus=os.cpu_count() or 1,
        memory_bytes=_memory_bytes(),
        entry=Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "",
        packages=packages,
        code=capture_code(folder or Path.cwd(), keep=keep or digest_of_bytes),
        digest=digest_of(
            {"python": python, "implementation": implementation, "system": platform.system(), "machine": machine,
             "packages": packages}
        ),
    )  # fmt: skip


def installed_packages() -> dict[str, str]:
    """Return the version of every installed package, by its normalised name."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name:
            # The first on the path is the one that is imported.
            found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), distribution.version or "")
    return dict(sorted(found.items()))


def capture_code(folder: Path, *, keep: Callable[[bytes], str]) -> CodeState | None:
    """Return where the code in a folder stands, or None where there is no git or no commit."""
    if shutil.which("git") is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    diff = _git(folder, "diff", "HEAD", "--no-color", "--no-ext-diff", "--binary") or b""
    untracked = (_git(folder, "ls-files", "--others", "--exclude-standard", "-z") or b"").split(b"\0")
    names = tuple(name.decode("utf-8", "replace") for name in untracked[:_UNTRACKED_SHOWN] if name)
    branch = (_git(folder, "rev-parse", "--abbrev-ref", "HEAD") or b"").decode("utf-8", "replace").strip()
    remote = (_git(folder, "config", "--get", "remote.origin.url") or b"").decode("utf-8", "replace").strip()
    kept = keep(diff) if diff and len(diff) <= DIFF_LIMIT_BYTES else None
    return CodeState(
        commit=commit.decode().strip(),
        branch="" if branch == "HEAD" else branch,
        remote=_without_password(remote),
        dirty=bool(diff or names),
        diff=kept,
        diff_bytes=len(diff),
        untracked=names,
    )


def _git(folder: Path, *arguments: str) -> bytes | None:
    """Run git and return what it prints, or None. It must ask for nothing and lock nothing."""
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(  # noqa: S603  fixed words and a folder
            ["git", "-C", str(folder), *arguments],  # noqa: S607  the git that the user works with
            capture_output=True, check=False, timeout=GIT_TIMEOUT_S, env=environment, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _without_password(url: str) -> str:
    return re.sub(r"(://)[^/@]*@", r"\1", url)


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
