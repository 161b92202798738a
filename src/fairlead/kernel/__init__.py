"""The ground that every room stands on: clock, ids, digests, canonical JSON, errors, settings, actors, routes.

It knows nothing of machine learning and does no I/O but reading the settings' file.
"""

from fairlead.kernel.actor import SYSTEM, Actor, ActorKind, this_user
from fairlead.kernel.canonical import canonical
from fairlead.kernel.clock import Clock, StartedClock, SystemClock, VirtualClock, parse_time
from fairlead.kernel.digest import digest_of, digest_of_bytes, digest_of_file, is_digest
from fairlead.kernel.errors import Conflict, FairleadError, Invalid, MissingExtra, NotFound, Refused, Unavailable
from fairlead.kernel.ids import Ids, is_id, time_of
from fairlead.kernel.locks import lock
from fairlead.kernel.routes import CURSOR, Body, Call, Permission, Query, Route, limit_query, time_query
from fairlead.kernel.settings import Setting, Settings, load
from fairlead.kernel.version import VERSION

__all__ = [
    "CURSOR", "SYSTEM", "VERSION", "Actor", "ActorKind", "Body", "Call", "Clock", "Conflict", "FairleadError", "Ids",
    "Invalid", "MissingExtra", "NotFound", "Permission", "Query", "Refused", "Route", "Setting", "Settings",
    "StartedClock", "SystemClock", "Unavailable", "VirtualClock", "canonical", "digest_of", "digest_of_bytes",
    "digest_of_file", "is_digest", "is_id", "limit_query", "load", "lock", "parse_time", "this_user", "time_of",
    "time_query",
]  # fmt: skip
