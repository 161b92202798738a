"""What a caller may do: a set of permissions, each for everything or for models, endpoints and experiments by name."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec

from trimtab.kernel.errors import Invalid

LONGEST = 100
"""How many characters a name may have that a permission is narrowed down to."""


class Permission(StrEnum):
    """What a caller must be allowed to do. None includes another; what is PUBLIC needs no token."""

    PUBLIC = "public"
    """Needs no token: health, and the page to sign in."""
    READ = "read"
    """Look at everything that is kept: models, versions, runs, decisions, the ledger."""
    PREDICT = "predict"
    """Ask endpoints, and the online store, for answers."""
    LOG = "log"
    """Log runs with their metrics and files, and say what became of decisions."""
    REGISTER = "register"
    """Register versions, apply declarations, stop and retry pipelines, take alarms on and keep them quiet."""
    APPROVE = "approve"
    """Approve, reject and retire versions; say who answers at an endpoint; roll back; end an endpoint."""
    ADMIN = "admin"
    """Issue, list and revoke tokens; remove what is old, and keep it from being removed."""


Names = tuple[str, ...] | None
"""The models, endpoints or experiments that something is about, by name: none in particular when empty, None for the
whole project."""


class Grants(msgspec.Struct, frozen=True):
    """A set of permissions. Each is held for everything (None) or for what has one of some names."""

    held: Mapping[Permission, frozenset[str] | None] = {}

    @classmethod
    def of(cls, texts: Iterable[str], *, where: str) -> "Grants":
        """Read permissions as people write them: ``read``, ``predict:late``, ``approve:late,churn``.

        Raises ``Invalid`` for none at all, one that there is not, or a name that cannot be one.
        """
        held: dict[Permission, frozenset[str] | None] = {}
        for text in texts:
            permission, names = _parsed(text, where)
            known = held.get(permission, frozenset())
            held[permission] = None if names is None or known is None else known | names
        if not held:
            raise _wrong("no permission is named", where)
        return cls(held)

    def names(self, permission: Permission) -> frozenset[str] | None:
        """Return the names that a permission is held for: none when it is not held, None when for everything."""
        return self.held.get(permission, frozenset())

    def may(self, permission: Permission, names: Names) -> bool:
        """Say whether a permission is held for all of these; for nothing in particular, whether it is held at all."""
        held = self.names(permission)
        if held is None:
            return True
        return bool(held) and names is not None and held.issuperset(names)

    @property
    def texts(self) -> tuple[str, ...]:
        """Return the permissions as people write them, in one order."""
        return tuple(
            permission.value if names is None else f"{permission.value}:{','.join(sorted(names))}"
            for permission in GRANTED
            if permission in self.held
            for names in (self.held[permission],)
        )


GRANTED = tuple(permission for permission in Permission if permission is not Permission.PUBLIC)
"""The permissions that a token can hold."""
EVERYTHING = Grants(dict.fromkeys(GRANTED))
NOTHING = Grants()


def _parsed(text: str, where: str) -> tuple[Permission, frozenset[str] | None]:
    word, colon, list_of_names = text.strip().partition(":")
    if word not in GRANTED:
        raise _wrong(f"{word[:40]!r} is no permission", where)
    if not colon:
        return Permission(word), None
    names = frozenset(name.strip() for name in list_of_names.split(","))
    for name in names:
        if not name or len(name) > LONGEST or not name.isprintable():
            raise _wrong(f"{name[:40]!r} names no model, endpoint or experiment", where)
    return Permission(word), names


def _wrong(what: str, where: str) -> Invalid:
    return Invalid(
        what,
        where=where,
        why=f"A permission is one of {', '.join(GRANTED)}: for everything, or after a colon for some names.",
        next="write for example read, predict:late or approve:late,churn",
    )
