"""Issue, revoke and recognise API tokens."""

import re
import secrets
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, RowMapping, insert, select, update

from trimtab.kernel import Actor, ActorKind, Conflict, Invalid, NotFound, Permission, digest_of_bytes, parse_time
from trimtab.server.events import TokenIssued, TokenRevoked
from trimtab.server.records import Access, IssuedToken, Token
from trimtab.server.tables import api_tokens
from trimtab.store import Change, Store

PREFIX = "trimtab_"
"""Lets people and secret scanners see what a leaked text is."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}")


def issue_token(
    change: Change, name: str, *, permission: Permission, actor: str = "", expires_in_s: float | None = None
) -> IssuedToken:
    """Make a token that acts as ``actor`` (``name`` when empty) with at most ``permission``; return it with its secret.

    The secret is 256 random bits and is not kept. ``expires_in_s`` counts from the change's time; None: never.
    Raises ``Invalid`` for a name that could be misread in a log, for no permission, or for a life that is over.
    """
    acting = actor or name
    for text in (name, acting):
        if not _NAME.fullmatch(text):
            raise Invalid(
                f"{text[:100]!r} cannot be the name of a token",
                where="tokens: name",
                why="Names stand in logs and in the ledger: letters, digits, and . _ @ - within.",
                next="trimtab token create ops-lead --scope approve",
            )
    if permission is Permission.PUBLIC:
        raise Invalid(
            "a token for public things does nothing",
            where="tokens: permission",
            why="What is public needs no token.",
            next=f"use one of: {', '.join(p.value for p in Permission if p is not Permission.PUBLIC)}",
        )
    if expires_in_s is not None and not 0 < expires_in_s <= 3650 * 86400:
        raise Invalid(
            f"a token cannot live for {expires_in_s} seconds",
            where="tokens: expires",
            why="A life is positive and at most ten years; a token without an end says so.",
            next="trimtab token create NAME --expires 90d",
        )
    secret = PREFIX + secrets.token_urlsafe(32)
    expires = None if expires_in_s is None else change.at + timedelta(seconds=expires_in_s)
    token = Token(
        id=change.new_id(), name=name, actor=Actor(acting, ActorKind.PERSON if actor else ActorKind.SERVICE),
        permission=permission, created_at=change.at, expires_at=expires,
    )  # fmt: skip
    change.execute(insert(api_tokens), _row(token) | {"digest": _digest(secret)})
    change.record(
        TokenIssued(
            token=token.id, name=name, actor=acting, permission=permission.value,
            expires_at=None if expires is None else expires.isoformat(),
        )
    )  # fmt: skip
    return IssuedToken(token=token, secret=secret)


def revoke_token(change: Change, id_or_name: str) -> Token:
    """End a token, named by its id or by a name that one active token has. Servers stop taking it within seconds."""
    token = msgspec.structs.replace(active_token(change.connection, id_or_name), revoked_at=change.at)
    change.execute(update(api_tokens).where(api_tokens.c.id == token.id).values(revoked_at=change.at.isoformat()))
    change.record(TokenRevoked(token=token.id, name=token.name))
    return token


def active_token(connection: Connection, id_or_name: str) -> Token:
    """Return the active token with an id or a name. Raises ``NotFound``, and ``Conflict`` unless it is exactly one."""
    query = select(api_tokens).where((api_tokens.c.id == id_or_name) | (api_tokens.c.name == id_or_name))
    found = [_token(row) for row in connection.execute(query).mappings()]
    if not found:
        raise NotFound(
            f"there is no token {id_or_name[:100]!r}",
            where="tokens",
            why="No token was issued with this id or name.",
            next="trimtab get tokens",
        )
    active = [token for token in found if token.revoked_at is None]
    if len(active) != 1:
        raise Conflict(
            f"{len(active)} active tokens are called {id_or_name!r}",
            where="tokens",
            why="It is already revoked." if not active else "A name alone does not say which one is meant.",
            next="trimtab get tokens" if not active else f"trimtab token revoke {active[0].id}",
        )
    return active[0]


def list_tokens(store: Store) -> tuple[Token, ...]:
    """Return every token that was ever issued, the newest first."""
    with store.read() as connection:
        rows = connection.execute(select(api_tokens).order_by(api_tokens.c.id.desc())).mappings()
        return tuple(_token(row) for row in rows)


def recognise(store: Store, secret: str, *, now: datetime) -> Access | None:
    """Return whom a secret stands for, or None when it is unknown, revoked or expired."""
    if not secret.startswith(PREFIX) or len(secret) > 100:
        return None
    with store.read() as connection:
        row = connection.execute(select(api_tokens).where(api_tokens.c.digest == _digest(secret))).mappings().first()
    if row is None:
        return None
    token = _token(row)
    if token.state(now) != "active":
        return None
    return Access(actor=token.actor, permission=token.permission, token_id=token.id)


def has_active_token(store: Store) -> bool:
    """Say whether anyone could sign in at all."""
    now = store.clock.now()
    return any(token.state(now) == "active" for token in list_tokens(store))


def _digest(secret: str) -> str:
    return digest_of_bytes(secret.encode())


def _row(token: Token) -> dict[str, str | None]:
    return {
        "id": token.id,
        "name": token.name,
        "actor": token.actor.id,
        "actor_kind": token.actor.kind.value,
        "permission": token.permission.value,
        "created_at": token.created_at.isoformat(),
        "expires_at": None if token.expires_at is None else token.expires_at.isoformat(),
        "revoked_at": None if token.revoked_at is None else token.revoked_at.isoformat(),
    }


def _token(row: RowMapping) -> Token:
    def at(name: str) -> datetime | None:
        return None if row[name] is None else parse_time(row[name], where=f"table server_tokens: {name}")

    created = at("created_at")
    assert created is not None
    return Token(
        id=row["id"], name=row["name"], actor=Actor(row["actor"], ActorKind(row["actor_kind"])),
        permission=Permission(row["permission"]), created_at=created, expires_at=at("expires_at"),
        revoked_at=at("revoked_at"),
    )  # fmt: skip
