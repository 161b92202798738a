"""The nouns of the server: who may ask for what, who was refused, and what the server says about itself."""

from datetime import datetime

import msgspec

from trimtab.kernel import NOTHING, Actor, Grants


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks, and what they may do; ``session_id`` when a browser's session says so."""

    actor: Actor
    grants: Grants = NOTHING
    token_id: str = ""
    session_id: str = ""


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """An API token as it is kept: everything but the secret, of which only the SHA-256 is known.

    ``may`` are its permissions as people write them; who issued it, stands with its ``actor``.
    """

    id: str
    name: str
    actor: Actor
    may: tuple[str, ...]
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
    """``name`` says what the token is for; it acts as ``actor``, or as its name. ``expires_in_s`` null: for ever.

    ``may`` are its permissions: ``read``, or for some models, endpoints and experiments only, ``predict:late,churn``.
    """

    name: str
    may: tuple[str, ...] = ("read",)
    actor: str = ""
    expires_in_s: float | None = 90 * 86400.0
    because: str = ""


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A browser that has signed in with a token. It ends by itself, by signing out, and with its token."""

    id: str
    token_id: str
    actor: Actor
    started_at: datetime
    expires_at: datetime


class StartedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A new session with its secret, which the browser's cookie holds and nobody else."""

    session: Session
    secret: str


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """How often somebody was refused one thing within an hour, and when last.

    ``code`` is that of the error; ``actor`` is ``unknown`` for whoever did not say who they are; ``about`` names the
    models, endpoints or experiments that it was about, or what a stranger called this server.
    """

    hour: datetime
    code: str
    actor: str
    asked: str
    about: str
    count: int
    last_at: datetime


class RefusalList(msgspec.Struct, frozen=True):
    """Refused attempts, the newest hour first."""

    items: tuple[Refusal, ...]
    next: str | None = None


class Health(msgspec.Struct, frozen=True):
    """``status`` is ``ok``: the process lives, or may be sent traffic. ``at`` is the time in which the project lives.

    ``instance`` names this one start of the server: ``server.json`` in its home has it too.
    """

    status: str
    version: str
    at: datetime
    instance: str


class Readiness(Health, frozen=True):
    """``endpoints`` says of each whether it answers. One that does not keeps no traffic from the others."""

    endpoints: dict[str, bool] = {}


class Me(msgspec.Struct, frozen=True):
    """Who the server takes the caller for, and their permissions."""

    actor: Actor
    may: tuple[str, ...]
