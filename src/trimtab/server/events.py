"""What the ledger holds about the server's tokens."""

from typing import ClassVar

from trimtab.store import Event, Subject


class TokenIssued(Event, frozen=True, kw_only=True):
    """Someone may now call the server from elsewhere."""

    type: ClassVar[str] = "server.token-issued"
    token: str
    name: str
    actor: str
    permission: str
    expires_at: str | None

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("token", self.token), Subject("actor", self.actor))


class TokenRevoked(Event, frozen=True, kw_only=True):
    """A token stopped working."""

    type: ClassVar[str] = "server.token-revoked"
    token: str
    name: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("token", self.token),)
