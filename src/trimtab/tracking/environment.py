"""Note what a run ran in: Python, packages, machine, and where the code stood in git."""

import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from trimtab.kernel import digest_of, digest_of_bytes
from trimtab.tracking.process import this_host
from trimtab.tracking.records import CodeState, Environment

DIFF_LIMIT_BYTES = 5 << 20
GIT_TIMEOUT_S = 10.0
_UNTRACKED_SHOWN = 200
_NAMES_BYTES = 1 << 20
_LINE_BYTES = 1 << 16
_WHOLE = (
    "--no-color", "--no-ext-diff", "--no-textconv", "--binary", "--submodule=short",
    "--src-prefix=a/", "--dst-prefix=b/",
)  # fmt: skip
"""Whatever the user has configured for reading, a difference that can be applied, of the whole repository."""


def capture_environment(*, folder: Path | None = None, keep: Callable[[bytes], str] | None = None) -> Environment:
    """Return what this process runs in.

    ``folder`` (the current one) is where git is asked. ``keep`` is given the uncommitted diff and returns its digest;
    without it the diff is digested and forgotten. Environment variables and arguments are left out: they hold secrets.
    """
    packages = installed_packages()
    return Environment(
        python=platform.python_version(),
        implementation=platform.python_implementation(),
        platform=f"{platform.system()} {platform.release()}",
        machine=platform.machine(),
        host=this_host(),
        cpu=_cpu(),
        cpus=os.cpu_count() or 1,
        memory_bytes=_memory_bytes(),
        entry=Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "",
        packages=packages,
        code=capture_code(folder or Path.cwd(), keep=keep or digest_of_bytes),
        digest=environment_digest(packages),
    )


def environment_digest(packages: Mapping[str, str] | None = None) -> str:
    """Return the digest of what decides about results here: Python, platform and (by default all) packages."""
    return digest_of(
        {
            "python": platform.python_version(),
            "implementation": platform.python_implementation(),
            "system": platform.system(),
            "machine": platform.machine(),
            "packages": installed_packages() if packages is None else packages,
        }
    )


def installed_packages() -> dict[str, str]:
    """Return the version of every installed package, by its normalised name."""
    found: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        said = distribution.metadata  # read anew each time that it is asked for
        if said["Name"]:
            # The first on the path is the one that is imported.
            found.setdefault(re.sub(r"[-_.]+", "-", said["Name"]).lower(), said["Version"] or "")
    return dict(sorted(found.items()))


def capture_code(folder: Path, *, keep: Callable[[bytes], str]) -> CodeState | None:
    """Return where the code in a folder stands, or None where there is no git or no commit.

    What git does not tell in ``GIT_TIMEOUT_S`` is not taken for unchanged: ``dirty`` is true then.
    """
    if shutil.which("git") is None:
        return None
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    diff = _git(folder, "-c", "diff.relative=false", "diff", "HEAD", *_WHOLE, most=DIFF_LIMIT_BYTES)
    # From the top, also when the program runs in a folder below it.
    others = _git(folder, "ls-files", "--others", "--exclude-standard", "-z", "--full-name", ":/", most=_NAMES_BYTES)
    untracked = others.data.split(b"\0")[:_UNTRACKED_SHOWN] if others else []
    names = tuple(name.decode("utf-8", "replace") for name in untracked if name)
    branch = _line(_git(folder, "rev-parse", "--abbrev-ref", "HEAD"))
    return CodeState(
        commit=_line(commit),
        branch="" if branch == "HEAD" else branch,
        remote=_without_password(_line(_git(folder, "config", "--get", "remote.origin.url"))),
        dirty=diff is None or others is None or diff.size_bytes > 0 or bool(names),
        diff=keep(diff.data) if diff and 0 < diff.size_bytes <= DIFF_LIMIT_BYTES else None,
        diff_bytes=diff.size_bytes if diff else 0,
        untracked=names,
    )


class _Printed(NamedTuple):
    """The beginning of what git printed, and how long all of it was."""

    data: bytes
    size_bytes: int


def _git(folder: Path, *arguments: str, most: int = _LINE_BYTES) -> _Printed | None:
    """Run git and return what it prints, ``most`` bytes of it, or None. It must ask for nothing and lock nothing."""
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        # Without pipes: a difference may be larger than the memory, and must be read to its end to know its size.
        with tempfile.TemporaryFile() as printed:
            done = subprocess.run(  # noqa: S603  fixed words and a folder
                ["git", "-C", str(folder), *arguments],  # noqa: S607  the git that the user works with
                stdout=printed, stderr=subprocess.DEVNULL, check=False, timeout=GIT_TIMEOUT_S, env=environment,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
            size_bytes = printed.seek(0, os.SEEK_END)
            printed.seek(0)
            data = printed.read(most)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return _Printed(data, size_bytes) if done.returncode == 0 else None


def _line(printed: _Printed | None) -> str:
    return printed.data.decode("utf-8", "replace").strip() if printed else ""


def _without_password(url: str) -> str:
    # Up to the last @: a password may hold others.
    return re.sub(r"(://)[^/]*@", r"\1", url)


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
