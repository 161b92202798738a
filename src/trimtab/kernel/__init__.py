"""The ground that every room stands on: clock, ids, digests, canonical JSON, errors, settings, actors, routes.

It knows nothing of machine learning and does no I/O but reading the settings' file.
"""

from trimtab.kernel.actor import SYSTEM, Actor, ActorKind, this_user
from trimtab.kernel.canonical import canonical
from trimtab.kernel.clock import Clock, StartedClock, SystemClock, VirtualClock, parse_time
from trimtab.kernel.digest import digest_of, digest_of_bytes, digest_of_file, is_digest
from trimtab.kernel.errors import Conflict, Invalid, MissingExtra, NotFound, Refused, TrimtabError, Unavailable
from trimtab.kernel.figures import figure, percent
from trimtab.kernel.ids import Ids, is_id, time_of
from trimtab.kernel.locks import lock
from trimtab.kernel.prepare import prepare_records
from trimtab.kernel.routes import CURSOR, Body, Call, Permission, Query, Route, limit_query, time_query
from trimtab.kernel.settings import Setting, Settings, load
from trimtab.kernel.version import VERSION

__all__ = [
    "CURSOR",
    "SYSTEM",
    "VERSION",
    "Actor",
    "ActorKind",
    "Body",
    "Call",
    "Clock",
    "Conflict",
    "Ids",
    "Invalid",
    "MissingExtra",
    "NotFound",
    "Permission",
    "Query",
    "Refused",
    "Route",
    "Setting",
    "Settings",
    "StartedClock",
    "SystemClock",
    "TrimtabError",
    "Unavailable",
    "VirtualClock",
    "canonical",
    "digest_of",
    "digest_of_bytes",
    "digest_of_file",
    "figure",
    "is_digest",
    "is_id",
    "limit_query",
    "load",
    "lock",
    "parse_time",
    "percent",
    "prepare_records",
    "this_user",
    "time_of",
    "time_query",
]  # fmt: skip
