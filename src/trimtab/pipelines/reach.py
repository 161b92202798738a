"""What the user's code may reach: which folders it reads, and which variables of the environment it sees.

Everything is named that may be reached, and nothing else: the interpreter and what is installed in it, the system's
libraries, the project's own folder without what Trimtab keeps there, and what the settings add.
"""

import fnmatch
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from sqlalchemy import make_url

from trimtab.kernel import FILE_NAME, Invalid, Settings
from trimtab.pipelines.walls import Rules, open_to

_SYSTEM = (
    "/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/proc", "/sys", "/nix/store",
    *(f"/etc/{name}" for name in (
        "alternatives", "ca-certificates", "ca-certificates.conf", "crypto-policies", "fonts", "gai.conf", "group",
        "host.conf", "hosts", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias", "localtime", "machine-id",
        "mime.types", "nsswitch.conf", "OpenCL", "os-release", "passwd", "pki/ca-trust", "pki/tls/certs",
        "pki/tls/cert.pem", "protocols", "resolv.conf", "services", "ssl/certs", "ssl/cert.pem", "ssl/openssl.cnf",
        "timezone",
    )),
)  # fmt: skip
_DEVICES = ("null", "zero", "full", "random", "urandom", "nvidia*", "dri", "kfd")
_SHARED_MEMORY = "/dev/shm"  # noqa: S108  (libraries that share arrays among their own processes use it)
_HARMLESS = (
    "PATH", "LANG", "LANGUAGE", "LC_*", "TZ", "TERM", "NO_COLOR", "VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH",
    "PYTHONHASHSEED", "PYTHONUTF8", "PYTHONIOENCODING", "PYTHONWARNINGS", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE",
    "PYTHONNOUSERSITE", "PYTHONHOME", "*_NUM_THREADS", "OMP_*", "KMP_*", "MKL_*", "CUDA_*", "NVIDIA_*",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
)  # fmt: skip
"""Variables that say how a process runs and hold no secret, as patterns."""
_PATHS = ("LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def environment_of(settings: Settings, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that user code sees: the harmless ones, and those that ``guest_environment`` names."""
    patterns = (*_HARMLESS, *_listed(settings.guest_environment))
    return {
        name: value for name, value in environment.items() if any(fnmatch.fnmatchcase(name, one) for one in patterns)
    }


def rules_of(settings: Settings, *, project: Path, reads: tuple[Path, ...] = ()) -> Rules:
    """Return what user code of a project may reach. ``reads`` are files and folders besides.

    Raises ``Invalid`` for a ``guest_user`` that there is not, or that only root could start.
    """
    hidden = list(_hidden(settings, project))
    named = [Path(one).expanduser().absolute() for one in _listed(settings.guest_reads)]
    wanted = [*_interpreter(), *map(Path, _SYSTEM), project.parent, *named, *reads]
    found = {str(path) for one in wanted for path in open_to(one.resolve(), hidden) if path.exists()}
    devices = [str(path) for one in _DEVICES for path in sorted(Path("/dev").glob(one))]
    return Rules(
        read=tuple(sorted(found)),
        write=(_SHARED_MEMORY,) if Path(_SHARED_MEMORY).is_dir() else (),
        devices=tuple(devices),
        user=_user(settings.guest_user),
    )


def _interpreter() -> Iterator[Path]:
    for folder in (sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parent), *sys.path):
        if folder:
            yield Path(folder)
    for name in _PATHS:
        for path in os.environ.get(name, "").split(os.pathsep):
            if path:
                yield Path(path)


def _hidden(settings: Settings, project: Path) -> Iterator[Path]:
    """Yield what no user code may read: the home, the home of which it is a replay, a database elsewhere, settings."""
    home = settings.home_path
    yield home
    yield from (folder for folder in home.parents if (folder / "keys").is_dir() or (folder / "trimtab.db").exists())
    yield from (folder.resolve() / ".trimtab" for folder in (project.parent, Path.cwd()))
    yield from (folder.resolve() / FILE_NAME for folder in (project.parent, Path.cwd()))
    if settings.database.startswith("sqlite"):
        file = Path(make_url(settings.database).database or "").resolve()
        yield from (file.with_name(file.name + end) for end in ("", "-wal", "-shm", "-journal"))


def _user(name: str) -> tuple[int, int] | None:
    if not name:
        return None
    import pwd  # not on every system

    try:
        found = pwd.getpwnam(name)
    except KeyError:
        problem, todo = f"there is no user {name!r}", f"adduser --system {name}, or correct the setting"
    else:
        if os.geteuid() == 0:
            return (found.pw_uid, found.pw_gid)
        problem, todo = f"user code cannot run as {name!r}", "start as root, or leave guest_user out"
    raise Invalid(problem, where="setting guest_user", why="Only root can start a process of another user.", next=todo)


def _listed(text: str) -> list[str]:
    return [one.strip() for one in text.split(",") if one.strip()]
