"""The nouns of the server: who may ask for what, and what it says about itself."""

from datetime import datetime

import msgspec

from trimtab.kernel import Actor, Permission

ORDER = {permission: rank for rank, permission in enumerate(Permission)}
"""Permissions from the least to the most; each includes the ones before it."""


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and the most that they may do."""

    actor: Actor
    permission: Permission
    token_id: str = ""

    def may(self, needed: Permission) -> bool:
        return ORDER[self.permission] >= ORDER[needed]


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An API token as it is kept: everything but the secret, of which only the SHA-256 is known."""

    id: str
    name: str
    actor: Actor
    permission: Permission
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None

    def state(self, now: datetime) -> str:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


class IssuedToken(msgspec.Struct, frozen=True, kw_only=True):
    """A new token with its secret, which is shown this once and never again."""

    token: Token
    secret: str


class TokenList(msgspec.Struct, frozen=True):
    items: tuple[Token, ...]
    next: str | None = None


class IssueToken(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``name`` says what the token is for; it acts as ``actor``, or as its name. ``expires_in_s`` null: for ever."""

    name: str
    permission: Permission = Permission.READ
    actor: str = ""
    expires_in_s: float | None = 90 * 86400.0
    because: str = ""


class Health(msgspec.Struct, frozen=True):
    """``status`` is ``ok``, or says what is missing."""

    status: str
    version: str


class Me(msgspec.Struct, frozen=True):
    """Who the server takes the caller for."""

    actor: Actor
    permission: Permission
