"""Who does something: a person, a service with a token, or Trimtab itself."""

import os
from enum import StrEnum

import msgspec


class ActorKind(StrEnum):
    PERSON = "person"
    SERVICE = "service"
    SYSTEM = "system"


class Actor(msgspec.Struct, frozen=True):
    """The author of a change. ``id`` is stable and is what the ledger holds; a name is looked up elsewhere.

    Who acts by a token also carries who issued it, who issued the issuer's, and so on: ``issued_by``, the nearest
    first.
    """

    id: str
    kind: ActorKind = ActorKind.PERSON
    issued_by: tuple[str, ...] | msgspec.UnsetType = msgspec.UNSET
    """Left out where there is none, so that what was written before tokens had issuers reads the same to the byte."""

    @property
    def issuers(self) -> tuple[str, ...]:
        return () if self.issued_by is msgspec.UNSET else self.issued_by

    def holding(self, id: str, kind: ActorKind) -> "Actor":
        """Return who acts by a token that this actor issues in the name ``id``."""
        chain = tuple(name for name in dict.fromkeys((self.id, *self.issuers)) if name != id)
        return Actor(id, kind, chain or msgspec.UNSET)

    def is_same_person(self, other: "Actor") -> bool:
        """Say whether the two are one where two persons are asked for.

        They are when one of them has issued the other's token, directly or through other tokens. A service acts for
        all who issued its token, so two services of one issuer are one, too; two persons whose tokens the same
        administrator has issued are two.
        """
        return bool(self.acts_for & other.reached_by or other.acts_for & self.reached_by)

    @property
    def acts_for(self) -> frozenset[str]:
        """Return whose work its work is: a person's own, a service's also that of all who issued its token."""
        return self.reached_by if self.kind is ActorKind.SERVICE else frozenset((self.id,))

    @property
    def reached_by(self) -> frozenset[str]:
        """Return whoever can act as this actor: itself, and all who issued its token."""
        return frozenset((self.id, *self.issuers))

    def __str__(self) -> str:
        return f"{self.id} (issued by {', by '.join(self.issuers)})" if self.issuers else self.id


SYSTEM = Actor(id="trimtab", kind=ActorKind.SYSTEM)


def this_user() -> Actor:
    """Return the person who runs this process, as the operating system knows them."""
    try:
        import pwd

        name = pwd.getpwuid(os.getuid()).pw_name
    except (ImportError, KeyError):
        # Windows has no pwd, and a container may run as a user without a name.
        name = os.environ.get("USERNAME") or f"uid-{os.getuid() if hasattr(os, 'getuid') else 0}"
    return Actor(name)
