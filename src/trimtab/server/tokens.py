"""Issue, revoke and recognise API tokens."""

import re
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, RowMapping, insert, select, update

from trimtab.kernel import Actor, ActorKind, Conflict, Grants, Invalid, NotFound, digest_of_bytes, parse_time
from trimtab.server.events import TokenIssued, TokenRevoked
from trimtab.server.records import Access, IssuedToken, IssueToken, Token
from trimtab.server.tables import api_tokens
from trimtab.store import Change, Store, check_reason, check_rows

PREFIX = "trimtab_"
"""Lets people and secret scanners see what a leaked text is."""
SECRET_AT_MOST = 100
"""How many characters a secret may have; ours are shorter."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}")


CHAIN_AT_MOST = 8
"""How many may stand behind a token: who issued it, who issued the issuer's, and so on."""


def issue_token(
    change: Change, name: str, *, may: Sequence[str], actor: str = "", expires_in_s: float | None = None
) -> IssuedToken:
    """Make a token that acts as ``actor`` (``name`` when empty) and may do what ``may`` says; return it and its secret.

    ``may`` are permissions, ``read`` or ``predict:late,churn``. Whoever makes the change is the issuer, whom the actor
    of the token carries from then on. The secret is 256 random bits and is not kept. ``expires_in_s`` counts from the
    change's time; None: never. Raises ``Invalid`` for a name that could be misread in a log, for no usable permission,
    for a life that is over, or when too many tokens would stand behind this one.
    """
    acting = actor or name
    for text in (name, acting):
        if not _NAME.fullmatch(text):
            raise Invalid(
                f"{text[:100]!r} cannot be the name of a token",
                where="tokens: name",
                why="Names stand in logs and in the ledger: letters, digits, and . _ @ - within.",
                next="trimtab token create ops-lead --may read --may approve",
            )
    grants = Grants.of(may, where="tokens: may")
    holder = change.actor.holding(acting, ActorKind.PERSON if actor else ActorKind.SERVICE)
    if len(holder.issuers) > CHAIN_AT_MOST:
        raise Invalid(
            f"{len(holder.issuers)} tokens would stand behind this one",
            where="tokens: issuer",
            why=f"Each carries who issued it, and a record must stay readable: at most {CHAIN_AT_MOST}.",
            next="let a person issue it: trimtab token create NAME",
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
        id=change.new_id(), name=name, actor=holder, may=grants.texts, created_at=change.at, expires_at=expires,
    )  # fmt: skip
    change.execute(insert(api_tokens), _row(token) | {"digest": digest_of_bytes(secret.encode())})
    change.record(
        TokenIssued(
            token=token.id, name=name, actor=holder, may=token.may,
            expires_at=None if expires is None else expires.isoformat(),
        )
    )  # fmt: skip
    return IssuedToken(token=token, secret=secret)


def revoke_token(change: Change, id_or_name: str) -> Token:
    """End a token, named by its id or by a name that one active token has, and the sessions that it has begun.

    Servers stop taking them within seconds. Raises ``ReasonMissing`` for a change without a reason.
    """
    found = active_token(change.connection, id_or_name)
    check_reason(change.because, f"revoke token {found.name}")
    token = msgspec.structs.replace(found, revoked_at=change.at)
    change.execute(update(api_tokens).where(api_tokens.c.id == token.id).values(revoked_at=change.at.isoformat()))
    change.record(TokenRevoked(token=token.id, name=token.name))
    return token


def create_token(store: Store, asked: IssueToken, *, actor: Actor, because: str) -> IssuedToken:
    """Issue a token in a change of its own. Raises what ``issue_token`` raises."""
    with store.change(actor, because) as change:
        return issue_token(change, asked.name, may=asked.may, actor=asked.actor, expires_in_s=asked.expires_in_s)


def end_token(store: Store, id_or_name: str, *, actor: Actor, because: str) -> Token:
    """Revoke a token in a change of its own. Raises what ``revoke_token`` raises."""
    with store.change(actor, because) as change:
        return revoke_token(change, id_or_name)


def active_token(connection: Connection, id_or_name: str) -> Token:
    """Return the active token with an id or a name. Raises ``NotFound``, and ``Conflict`` unless it is exactly one."""
    query = select(api_tokens).where((api_tokens.c.id == id_or_name) | (api_tokens.c.name == id_or_name))
    rows = connection.execute(query).mappings().all()
    check_rows(connection, api_tokens, rows)
    return the_active([token_of(row) for row in rows], id_or_name)


def the_active(tokens: Iterable[Token], id_or_name: str) -> Token:
    """Return the active one of some tokens with an id or a name. Raises as ``active_token`` does."""
    found = [token for token in tokens if id_or_name in (token.id, token.name)]
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
        return tuple(token_of(row) for row in rows)


def recognise(store: Store, secret: str, *, now: datetime) -> Access | None:
    """Return whom a token's secret stands for, or None when it is unknown, revoked or expired."""
    if not secret.startswith(PREFIX) or len(secret) > SECRET_AT_MOST:
        return None
    with store.read() as connection:
        digest = digest_of_bytes(secret.encode())
        row = connection.execute(select(api_tokens).where(api_tokens.c.digest == digest)).mappings().first()
        if row is None or row["digest"] != digest:  # whoever writes the database may also say what is equal there
            return None
        check_rows(connection, api_tokens, [row])
    return access_of(token_of(row), now=now)


def access_of(token: Token, *, now: datetime) -> Access | None:
    """Return what the holder of a token may do, None when it does not hold any more."""
    if token.state(now) != "active":
        return None
    return Access(actor=token.actor, grants=Grants.of(token.may, where="tokens: may"), token_id=token.id)


def has_active_token(store: Store) -> bool:
    """Say whether anyone could sign in at all."""
    now = store.clock.now()
    return any(token.state(now) == "active" for token in list_tokens(store))


def _row(token: Token) -> dict[str, str | None]:
    return {
        "id": token.id,
        "name": token.name,
        "actor": token.actor.id,
        "actor_kind": token.actor.kind.value,
        "issued_by": _json(token.actor.issuers),
        "may": _json(token.may),
        "created_at": token.created_at.isoformat(),
        "expires_at": None if token.expires_at is None else token.expires_at.isoformat(),
        "revoked_at": None if token.revoked_at is None else token.revoked_at.isoformat(),
    }


def _json(texts: tuple[str, ...]) -> str:
    return msgspec.json.encode(texts).decode()


def token_of(row: RowMapping) -> Token:
    """Read a token from its row."""

    def at(name: str) -> datetime | None:
        return None if row[name] is None else parse_time(row[name], where=f"table server_tokens: {name}")

    created = at("created_at")
    assert created is not None
    issuers = msgspec.json.decode(row["issued_by"], type=tuple[str, ...])
    return Token(
        id=row["id"], name=row["name"],
        actor=Actor(row["actor"], ActorKind(row["actor_kind"]), issuers or msgspec.UNSET),
        may=msgspec.json.decode(row["may"], type=tuple[str, ...]), created_at=created, expires_at=at("expires_at"),
        revoked_at=at("revoked_at"),
    )  # fmt: skip
