"""The ground that every room stands on: clock, ids, digests, canonical JSON, errors, settings, actors, routes.

It knows nothing of machine learning and does no I/O but reading the settings' file.
"""

from fairlead.kernel.actor import SYSTEM, Actor, ActorKind, this_user
from fairlead.kernel.canonical import canonical
from fairlead.kernel.clock import Clock, StartedClock, SystemClock, VirtualClock, parse_time
from fairlead.kernel.digest import digest_of, digest_of_bytes, digest_of_file, is_digest
from fairlead.kernel.errors import Conflict, FairleadError, Invalid, MissingExtra, NotFound, Refused, Unavailable
from fairlead.kernel.ids import Ids, is_id, time_of
from fairlead.kernel.routes import Body, Call, Permission, Route
from fairlead.kernel.settings import Setting, Settings, load
from fairlead.kernel.version import VERSION

__all__ = [
    "SYSTEM", "VERSION", "Actor", "ActorKind", "Body", "Call", "Clock", "Conflict", "FairleadError", "Ids", "Invalid",
    "MissingExtra", "NotFound", "Permission", "Refused", "Route", "Setting", "Settings", "StartedClock", "SystemClock",
    "Unavailable", "VirtualClock", "canonical", "digest_of", "digest_of_bytes", "digest_of_file", "is_digest", "is_id",
    "load", "parse_time", "this_user", "time_of",
]  # fmt: skip
