"""What the ledger holds about the server's tokens and sessions."""

from typing import ClassVar

from trimtab.kernel import Actor
from trimtab.store import Event, Subject


class TokenIssued(Event, frozen=True, kw_only=True):
    """Someone may now call the server from elsewhere, as an actor that carries who has issued the token."""

    type: ClassVar[str] = "server.token-issued"
    version: ClassVar[int] = 2
    token: str
    name: str
    actor: Actor
    may: tuple[str, ...]
    expires_at: str | None

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("token", self.token), Subject("actor", self.actor.id))


class TokenRevoked(Event, frozen=True, kw_only=True):
    """A token stopped working."""

    type: ClassVar[str] = "server.token-revoked"
    token: str
    name: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("token", self.token),)


class SessionStarted(Event, frozen=True, kw_only=True):
    """A browser signed in with a token."""

    type: ClassVar[str] = "server.session-started"
    session: str
    token: str
    expires_at: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("session", self.session), Subject("token", self.token))


class SessionEnded(Event, frozen=True, kw_only=True):
    """A browser signed out."""

    type: ClassVar[str] = "server.session-ended"
    session: str
    token: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("session", self.session), Subject("token", self.token))
