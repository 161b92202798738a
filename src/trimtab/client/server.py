"""How the project stands, tokens, and the server's own log, asked of a server."""

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime

from trimtab.client.project import answers
from trimtab.kernel import Actor, Remote
from trimtab.server import (
    Collect,
    Health,
    IssuedToken,
    IssueToken,
    LogPart,
    MakeHold,
    Refusal,
    RefusalList,
    Standing,
    Token,
    TokenList,
    collect_garbage,
    create_hold,
    create_token,
    end_token,
    list_refusals,
    list_tokens,
    preview_gc,
    server_log,
    standing_of,
    time_of_project,
)
from trimtab.store import Collection, Hold

PAGE = 500
GC_TIMEOUT_S = 3600.0
"""How long a server may take to remove what is old."""


@answers(standing_of)
def _standing(server: Remote) -> Standing:
    return server.get(Standing, "status")


@answers(time_of_project)
def _time(server: Remote) -> datetime:
    return server.send_to("/healthz", Health, method="GET", repeat=True).at


@answers(server_log)
def _log(server: Remote, *, file: str = "", offset: int | None = None) -> LogPart:
    return server.get(LogPart, "server", "log", file=file or None, offset=offset)


@answers(list_tokens)
def _tokens(server: Remote) -> tuple[Token, ...]:
    return server.get(TokenList, "tokens").items


@answers(list_refusals)
def _refusals(server: Remote, *, limit: int = 100, offset: int = 0) -> tuple[Refusal, ...]:
    found, _ = server.listed(RefusalList, "refusals", limit=limit, page=PAGE, cursor=str(offset))
    return tuple(found)


@answers(create_token)
def _create(server: Remote, asked: IssueToken, *, actor: Actor, because: str) -> IssuedToken:
    return server.send("POST", IssuedToken, "tokens", body=asked, because=because)


@answers(end_token)
def _end(server: Remote, id_or_name: str, *, actor: Actor, because: str) -> Token:
    return server.send("DELETE", Token, "tokens", id_or_name, because=because)


@answers(preview_gc)
def _preview(server: Remote, *, classes: Sequence[str] = ()) -> Collection:
    with closing(server.again(timeout_s=GC_TIMEOUT_S)) as patient:
        return patient.get(Collection, "gc", classes=",".join(classes) or None)


@answers(collect_garbage)
def _collect(server: Remote, *, classes: Sequence[str] = (), actor: Actor, because: str) -> Collection:
    with closing(server.again(timeout_s=GC_TIMEOUT_S)) as patient:
        return patient.send("POST", Collection, "gc", body=Collect(classes=tuple(classes)), because=because)


@answers(create_hold)
def _hold(server: Remote, asked: MakeHold, *, actor: Actor, because: str) -> Hold:
    return server.send("POST", Hold, "holds", body=asked, because=because)
