"""How the project stands, tokens, and the server's own log, asked of a server."""

from datetime import datetime

from trimtab.client.project import answers
from trimtab.kernel import Actor, Remote
from trimtab.server import (
    Health,
    IssuedToken,
    IssueToken,
    LogPart,
    Refusal,
    RefusalList,
    Standing,
    Token,
    TokenList,
    create_token,
    end_token,
    list_refusals,
    list_tokens,
    server_log,
    standing_of,
    time_of_project,
)

PAGE = 500


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
