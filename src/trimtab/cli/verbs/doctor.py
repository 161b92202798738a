"""``trimtab doctor``: what is set, and whether everything answers."""

import platform
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import PackageNotFoundError, version

import click
import msgspec

from trimtab.cli.output import Column, output_option, show_list
from trimtab.cli.session import Session, pass_session
from trimtab.kernel import VERSION, TrimtabError
from trimtab.pipelines import check_open_runs, walls
from trimtab.server import Me, has_active_token, running_server
from trimtab.store import VerificationKind, events, foreign_objects, server_at
from trimtab.store import verify as verify_ledger

PACKAGES = (
    "duckdb", "pyarrow", "numpy", "sqlalchemy", "msgspec", "starlette", "uvicorn", "cryptography", "pandas",
    "scikit-learn", "skops", "onnxruntime", "obstore",
)  # fmt: skip


class Finding(msgspec.Struct, frozen=True):
    """One line of the report: ``state`` is ``ok``, ``bad``, ``-`` (not there), or where a setting comes from."""

    kind: str
    name: str
    state: str
    detail: str


@click.command()
@output_option
@pass_session
def doctor(session: Session, form: str) -> int:
    """Print every setting with its origin, and check database, blobs, ledger, server, walls and packages.

    Where the settings name a server, that is asked instead: the rest is checked where it runs.

    Ends with 1 when something does not work.
    """
    findings = [*_settings(session), *_checks(session), *_walls(session), *_packages()]
    columns = [
        Column("WHAT", lambda f: f.kind), Column("NAME", lambda f: f.name), Column("STATE", lambda f: f.state),
        Column("DETAIL", lambda f: f.detail),
    ]  # fmt: skip
    show_list(findings, columns, form=form)
    return 1 if any(finding.state == "bad" for finding in findings) else 0


def _settings(session: Session) -> Iterator[Finding]:
    for setting in session.origins:
        yield Finding("setting", setting.name, setting.origin, str(setting.value) or '""')


def _checks(session: Session) -> Iterator[Finding]:
    if session.settings.server:
        yield _asked(session)
        return
    try:
        store = session.store
    except TrimtabError as error:
        yield _failed("project", error)
        return
    yield Finding(
        "check", "database", "ok", f"{store.database.dialect}, {(len(events(store, limit=1)) and 'in use') or 'empty'}"
    )
    for name, check in (
        ("blobs", _blobs),
        ("ledger", _ledger),
        ("objects", _objects),
        ("runs", _runs),
        ("tokens", _tokens),
        ("server", _server),
    ):
        try:
            yield check(session)
        except TrimtabError as error:
            yield _failed(name, error)


def _failed(name: str, error: TrimtabError) -> Finding:
    return Finding("check", name, "bad", f"{error.where}: {error.what}. Next: {error.next}")


def _asked(session: Session) -> Finding:
    """Say whether the server that the settings name answers, and whom it takes us for."""
    try:
        with closing(server_at(session.settings.server, token=session.settings.token)) as server:
            me = server.get(Me, "me")
    except TrimtabError as error:
        return _failed("server", error)
    return Finding("check", "server", "ok", f"{server.shown} answers {me.actor}, who may {', '.join(me.may)}")


def _blobs(session: Session) -> Finding:
    blobs = session.store.blobs
    digest = blobs.put(b"trimtab doctor")
    sound = blobs.get(digest) == b"trimtab doctor"
    return Finding("check", "blobs", "ok" if sound else "bad", "written and read back")


def _ledger(session: Session) -> Finding:
    found = verify_ledger(session.store)
    state = "bad" if found.kind is VerificationKind.TAMPERED else "ok"
    return Finding("check", "ledger", state, f"{found.kind.value}: {found.what}")


def _objects(session: Session) -> Finding:
    with session.store.read() as connection:
        found = foreign_objects(connection)
    said = f"{'; '.join(found)}: not Trimtab's; who made it? Next: drop it" if found else "none that act by themselves"
    return Finding("check", "objects", "bad" if found else "ok", said)


def _runs(session: Session) -> Finding:
    count = check_open_runs(session.store)
    return Finding("check", "runs", "ok", f"{count} open, as they were submitted")


def _tokens(session: Session) -> Finding:
    there = has_active_token(session.store)
    said = "at least one active token" if there else "no active token: only this machine can call the server"
    return Finding("check", "tokens", "ok", said)


def _server(session: Session) -> Finding:
    running = running_server(session.settings)
    return Finding("check", "server", "ok", running.url if running else "not running: trimtab up")


def _walls(session: Session) -> Iterator[Finding]:
    """Say which walls stand around user code; one that the machine does not offer is missing, and nothing is broken."""
    for wall in walls(user=session.settings.guest_user):
        yield Finding("wall", wall.name, "ok" if wall.stands else "-", wall.detail)


def _packages() -> Iterator[Finding]:
    yield Finding("version", "trimtab", "ok", VERSION)
    yield Finding("version", "python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    for name in PACKAGES:
        try:
            yield Finding("version", name, "ok", version(name))
        except PackageNotFoundError:
            yield Finding("version", name, "-", "not installed")
