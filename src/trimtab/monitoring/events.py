"""What the ledger hears of monitoring."""

from typing import ClassVar

from trimtab.store import Event, Subject


class ReferenceKept(Event, frozen=True, kw_only=True):
    """From now on a version is compared with this reference."""

    type: ClassVar[str] = "monitoring.reference-kept"

    model: str
    version_number: int
    digest: str
    rows: int
    columns: tuple[str, ...]
    was: str | None = None

    def subjects(self) -> tuple[Subject, ...]:
        return (
            Subject("version", f"{self.model}@{self.version_number}"),
            Subject("reference", self.digest, self.digest),
        )

    def before(self) -> str | None:
        return self.was

    def after(self) -> str:
        return self.digest


class OutcomesRecorded(Event, frozen=True, kw_only=True):
    """Outcomes became known: so many of an endpoint's decisions, under the digest of exactly what was said of each.

    The digest is over the lines ``decision value known_at_us``, sorted, each ended by a newline.
    """

    type: ClassVar[str] = "monitoring.outcomes-recorded"

    endpoint: str
    new: int
    corrected: int
    digest: str
    first_known_at: str
    last_known_at: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("endpoint", self.endpoint), Subject("outcomes", self.digest, self.digest))

    def after(self) -> str:
        return self.digest


class _AlertEvent(Event, frozen=True, kw_only=True):
    endpoint: str
    alert: str
    group: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("alert", self.alert), Subject("endpoint", self.endpoint))


class AlertRaised(_AlertEvent, frozen=True, kw_only=True):
    """A check found something wrong at an endpoint, or worse than it had found it before."""

    type: ClassVar[str] = "monitoring.alert-raised"

    severity: str
    title: str


class AlertAcknowledged(_AlertEvent, frozen=True, kw_only=True):
    """A person has taken an alert on."""

    type: ClassVar[str] = "monitoring.alert-acknowledged"


class AlertResolved(_AlertEvent, frozen=True, kw_only=True):
    """A check did not find any more what an alert was raised for."""

    type: ClassVar[str] = "monitoring.alert-resolved"


class AlertsSilenced(Event, frozen=True, kw_only=True):
    """Nothing is sent for some alerts of an endpoint until a moment."""

    type: ClassVar[str] = "monitoring.alerts-silenced"

    endpoint: str
    silence: str
    groups: str
    until: str

    def subjects(self) -> tuple[Subject, ...]:
        return (Subject("silence", self.silence), Subject("endpoint", self.endpoint))
