"""The ledger, asked of a server: what it holds is copied here and verified here."""

import secrets
import tempfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from trimtab.client.project import answers
from trimtab.governance import verify_evidence
from trimtab.kernel import Actor, Remote
from trimtab.server import EventPage, HoldList
from trimtab.store import (
    Hold,
    LedgerHeader,
    Recorded,
    Signed,
    Subject,
    Verification,
    VerificationKind,
    Witness,
    end_hold,
    event_at,
    events,
    export_log,
    list_holds,
    verify,
)

PAGE = 1000
_ITS_OWN_WORD = "that the key is the ledger's: the server gave it itself; name one that you trust with --key"


@answers(events)
def _events(
    server: Remote, *, type: str | Sequence[str] | None = None, actor: str | None = None,
    subject: Subject | tuple[str, str] | None = None, since: datetime | None = None, until: datetime | None = None,
    after: int | None = None, limit: int = 100, order: Literal["oldest", "newest"] = "oldest",
) -> list[Recorded]:  # fmt: skip
    types = type if type is None or isinstance(type, str) else ",".join(type)
    kind, id_ = (subject.kind, subject.id) if isinstance(subject, Subject) else subject or ("", "")
    found, _ = server.listed(
        EventPage, "events", limit=limit, page=PAGE, cursor=None if after is None else str(after), type=types,
        actor=actor, about=f"{kind}:{id_}" if kind else None, since=since, until=until, order=order,
    )  # fmt: skip
    return found


@answers(event_at)
def _event(server: Remote, position: int) -> Recorded:
    return server.get(Recorded, "events", position)


@answers(export_log)
def _export(server: Remote, path: Path) -> LedgerHeader:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        server.download(temporary, "ledger", "export")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    with path.open("rb") as file:
        return msgspec.json.decode(file.readline(), type=LedgerHeader)


@answers(verify)
def _verify(
    server: Remote, *, witness: Witness | None = None, keys: Sequence[str] = (), checkpoints: Sequence[str] = (),
    progress: Callable[[int], None] = lambda _: None,
) -> Verification:  # fmt: skip
    kept = server.memory.given() if server.memory else ""
    signed = server.get(Signed, "ledger", "checkpoint")
    trusted = keys or [signed.key]
    with tempfile.TemporaryDirectory(prefix="trimtab-") as folder:
        copy = Path(folder) / "ledger.log"
        progress(_export(server, copy).size)
        found = verify_evidence(copy, keys=trusted, checkpoints=[*checkpoints, *([kept] if kept else [])])
    if found.kind is VerificationKind.INTACT and server.memory:
        server.memory.keep(signed.note, key=signed.key, shown=kept)
    if found.kind is VerificationKind.INTACT and not keys:
        return msgspec.structs.replace(found, unproved=(*found.unproved, _ITS_OWN_WORD))
    return found


@answers(list_holds)
def _holds(server: Remote) -> tuple[Hold, ...]:
    return server.get(HoldList, "holds").items


@answers(end_hold)
def _end_hold(server: Remote, id_or_subject: str, *, actor: Actor, because: str) -> Hold:
    return server.send("DELETE", Hold, "holds", id_or_subject, because=because)
