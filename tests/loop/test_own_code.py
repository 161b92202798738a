"""The user's own code sees its rows and its scratch folder: no key, no database, no secret, no other process."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from tests.loop.parcels import trying, write_project

import trimtab
from trimtab.declare import load_project
from trimtab.kernel import Actor, Invalid, Settings, VirtualClock
from trimtab.loop import RunFailed, run_one
from trimtab.loop.own_code import import_before_guests
from trimtab.pipelines import list_pipeline_runs, read_log, walls
from trimtab.pipelines.reach import environment_of, rules_of
from trimtab.registry import ReleaseKeys
from trimtab.store import Store, open_store

BECAUSE = "it is tried"
ATTACK = '''
import ctypes
import os
import subprocess
import sys
from pathlib import Path


def attempts(victim, home):
    """Yield what an attacker would try, by its name, as functions that give what they found."""
    read = lambda path: lambda: Path(path).read_bytes()[:20]
    yield "release key", read(f"{home}/keys/release.ed25519")
    yield "keys", lambda: os.listdir(f"{home}/keys")
    yield "database", read(f"{home}/trimtab.db")
    yield "witness", lambda: os.listdir(f"{home}/witness")
    yield "blobs", lambda: os.listdir(f"{home}/blobs")
    yield "settings", read(Path(__file__).with_name("trimtab.toml"))
    yield "a link to the key", lambda: linked(f"{home}/keys/release.ed25519")
    yield "by way of the working folder", read(f"/proc/self/cwd/../../../../../../../..{home}/keys/release.ed25519")
    yield "another program", lambda: subprocess.run(
        ["/bin/cat", f"{home}/keys/release.ed25519"], check=True, capture_output=True
    ).stdout
    yield "a key put in the home", lambda: Path(f"{home}/keys/trusted.pub").write_text("mine")
    yield "another password file", read("/etc/shadow")
    yield "own secrets", lambda: {n: v for n, v in os.environ.items() if "SECRET" in n or "TRIMTAB" in n} or stop()
    for pid in (victim, os.getppid()):
        yield f"environment of {pid}", read(f"/proc/{pid}/environ")
        yield f"memory of {pid}", read(f"/proc/{pid}/mem")
        yield f"maps of {pid}", read(f"/proc/{pid}/maps")
        yield f"files of {pid}", lambda pid=pid: os.readlink(f"/proc/{pid}/fd/0")
        yield f"signal to {pid}", lambda pid=pid: os.kill(pid, 0) or "sent"
        yield f"tracing {pid}", lambda pid=pid: traced(pid)
    held = [path for path in map(target, os.listdir("/proc/self/fd")) if home in path and not given(path)]
    yield "open files of the home", lambda: held or stop()


def given(path):
    """Its log, and the rows that it was called with, are its own."""
    return path.endswith(".log") or "/blobs/" in path


def linked(path):
    link = Path(os.environ["TMPDIR"]) / "link"
    link.symlink_to(path)
    return link.read_bytes()


def target(name):
    try:
        return os.readlink(f"/proc/self/fd/{name}")
    except OSError:
        return ""


def traced(pid):
    libc = ctypes.CDLL(None, use_errno=True)
    return stop() if libc.ptrace(16, pid, None, None) else "attached"


def stop():
    raise PermissionError("there is nothing")


def attack():
    for name, attempt in attempts(VICTIM, "HOME"):
        try:
            print("GOT", name, attempt())
        except (OSError, subprocess.CalledProcessError) as error:
            print("NOTHING", name, type(error).__name__)
    # And what it is there for works.
    assert Path(__file__).with_name("beside.csv").read_text() == "here"
    scratch = Path(os.environ["TMPDIR"]) / "mine"
    scratch.write_text("kept")
    assert subprocess.run([sys.executable, "-c", "print(1 + 1)"], capture_output=True).stdout == b"2\\n"
    assert os.environ.get("NAMED_FOR_IT") == "given"
    print("ENDED")
'''


@pytest.fixture
def landlocked() -> None:
    """Skip where the system has not all walls; on Linux fail under ``CI=true``."""
    missing = [wall.detail for wall in walls() if wall.name in ("files", "signals", "calls") and not wall.stands]
    if missing and sys.platform == "linux" and os.environ.get("CI") == "true":
        pytest.fail("; ".join(missing))
    if missing:
        pytest.skip("; ".join(missing))


behind_walls = pytest.mark.usefixtures("landlocked")


@pytest.fixture
def victim() -> Iterator[int]:
    """A process of the same user, as the server is one, with a secret in its environment."""
    child = subprocess.Popen(
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(600)"],
        env={**os.environ, "SERVER_SECRET": "swordfish"}, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    child.stdout.readline()
    yield child.pid
    child.kill()
    child.wait()
    child.stdout.close()


def attacking(path: Path, home: str, pid: int, *, inside: str) -> Path:
    """Write a project whose source or train function attacks before it does its work."""
    write_project(path)
    text = path.read_text("utf-8").replace("import trimtab as tt", f"import trimtab as tt\n{ATTACK}", 1)
    text = text.replace("VICTIM", str(pid)).replace('"HOME"', repr(home))
    work = {"source": "    random = np.random.default_rng(1)", "train": "    X = X.drop("}[inside]
    path.write_text(text.replace(work, f"    attack()\n{work}", 1), "utf-8")
    (path.parent / "beside.csv").write_text("here")
    (path.parent / "trimtab.toml").write_text('token = "swordfish"\n')
    return path


@pytest.fixture
def guarded(database_url: str, home: Path, clock: VirtualClock) -> Iterator[Store]:
    """A store whose settings name one variable for user code."""
    with closing(
        open_store(Settings(home=str(home), database=database_url, guest_environment="NAMED_*"), clock=clock)
    ) as store:
        ReleaseKeys.of(store).signing()
        yield store


def log_of(store: Store, step: str) -> str:
    return read_log(store, list_pipeline_runs(store, limit=1)[0].id, step).text


@behind_walls
@pytest.mark.parametrize(
    ("inside", "database_url"),
    [("source", "sqlite"), ("source", "postgresql"), ("train", "sqlite")], indirect=["database_url"],
)  # fmt: skip
def test_own_code_gets_at_nothing(
    guarded: Store, tmp_path: Path, actor: Actor, victim: int, inside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "swordfish")
    monkeypatch.setenv("TRIMTAB_TOKEN", "swordfish")
    monkeypatch.setenv("NAMED_FOR_IT", "given")
    project = load_project(attacking(tmp_path / "parcels.py", guarded.settings.home, victim, inside=inside))
    one, step = {"source": ("parcels", "snapshot-parcels"), "train": ("slow", "train-slow")}[inside]
    run_one(guarded, project, one, actor=actor, because=BECAUSE)
    said = log_of(guarded, step)
    assert "GOT" not in said, said
    assert said.count("NOTHING") == 25, said
    assert "ENDED" in said
    assert "swordfish" not in said


def test_own_code_sees_only_harmless_variables_and_those_that_are_named() -> None:
    secret = ("TRIMTAB_TOKEN", "AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "PGPASSWORD", "HTTP_PROXY", "LD_PRELOAD")
    given = {"PATH": "/bin", "LC_ALL": "C", "OMP_NUM_THREADS": "2"} | dict.fromkeys(secret, "swordfish")
    harmless = {"PATH", "LC_ALL", "OMP_NUM_THREADS"}
    assert set(environment_of(Settings(), given)) == harmless
    named = Settings(guest_environment="PGPASSWORD, AWS_*")
    assert set(environment_of(named, given)) == harmless | {"PGPASSWORD", "AWS_SECRET_ACCESS_KEY"}


@behind_walls
def test_own_code_reads_what_a_setting_names_and_nothing_beside_it(
    guarded: Store, tmp_path: Path, actor: Actor
) -> None:
    lake, beside = tmp_path / "lake", tmp_path / "beside"
    for folder in (lake, beside):
        folder.mkdir()
        (folder / "rows.csv").write_text(f"of {folder.name}")
    file = trying(tmp_path / "project" / "parcels.py", lake / "rows.csv", beside / "rows.csv")
    guarded.settings = msgspec.structs.replace(guarded.settings, guest_reads=f"/nowhere, {lake}")
    run_one(guarded, load_project(file), "parcels", actor=actor, because=BECAUSE)
    said = log_of(guarded, "snapshot-parcels")
    assert "GOT of lake" in said
    assert "NOTHING PermissionError" in said
    assert "of beside" not in said


def test_a_user_that_there_is_not_runs_no_code(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="there is no user 'nobody-at-all'"):
        rules_of(Settings(guest_user="nobody-at-all"), project=tmp_path / "parcels.py")


@behind_walls
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start another user")
def test_a_user_who_may_not_read_python_is_told_so(
    guarded: Store, tmp_path: Path, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut = tmp_path / "shut"
    shutil.copytree(Path(trimtab.__file__).parent, shut / "trimtab", ignore=shutil.ignore_patterns("__pycache__"))
    shut.chmod(0o700)
    monkeypatch.syspath_prepend(str(shut))  # where its workers import from
    guarded.settings = msgspec.structs.replace(guarded.settings, guest_user="nobody")
    project = load_project(write_project(tmp_path / "parcels.py"))
    with pytest.raises(RunFailed, match="user code cannot run as user") as refused:
        run_one(guarded, project, "parcels", actor=actor, because=BECAUSE)
    assert refused.value.where == "setting guest_user"
    assert str(shut) in refused.value.why or os.__file__ in refused.value.why


@behind_walls
def test_a_process_that_ends_itself_ends_its_step_as_a_worker_would(
    guarded: Store, tmp_path: Path, actor: Actor
) -> None:
    file = write_project(tmp_path / "parcels.py")
    text = file.read_text("utf-8").replace(
        "    random = np", "    import os; os.kill(os.getpid(), 11)\n    random = np", 1
    )
    file.write_text(text, "utf-8")
    with pytest.raises(RunFailed, match="the worker process was killed by SIGSEGV"):
        run_one(guarded, load_project(file), "parcels", actor=actor, because=BECAUSE)


def test_what_packs_and_loads_a_model_is_imported_before_the_file_is_run(
    guarded: Store, tmp_path: Path, actor: Actor
) -> None:
    file = write_project(tmp_path / "parcels.py")
    text = file.read_text("utf-8")
    assert "from sklearn.linear_model import" in text
    asking = "import sys\nprint('WARM', {'sklearn.linear_model', 'skops.io'} <= set(sys.modules))\n"
    file.write_text(asking + text, "utf-8")
    run_one(guarded, load_project(file), "parcels", actor=actor, because=BECAUSE)
    assert "WARM True" in log_of(guarded, "snapshot-parcels")


def test_a_file_that_cannot_be_parsed_is_its_steps_mistake(tmp_path: Path) -> None:
    file = tmp_path / "parcels.py"
    file.write_text("import trimtab as (")
    with pytest.raises(SyntaxError):
        import_before_guests({"file": str(file)})  # which a worker leaves to the step
    import_before_guests({"project": {}})
