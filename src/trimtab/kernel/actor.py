"""Who does something: a person, a service with a token, or Trimtab itself."""

import os
from enum import StrEnum

import msgspec


class ActorKind(StrEnum):
    PERSON = "person"
    SERVICE = "service"
    SYSTEM = "system"


class Actor(msgspec.Struct, frozen=True):
    """The author of a change. ``id`` is stable and is what the ledger holds; a name is looked up elsewhere."""

    id: str
    kind: ActorKind = ActorKind.PERSON

    def __str__(self) -> str:
        return self.id


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
