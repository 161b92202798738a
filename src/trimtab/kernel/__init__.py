"""The ground that every room stands on: clock, ids, digests, canonical JSON, errors, settings, actors, routes.

It knows nothing of machine learning and does no I/O but reading the settings' file.
"""

from trimtab.kernel.actor import SYSTEM, Actor, ActorKind, this_user
from trimtab.kernel.canonical import canonical
from trimtab.kernel.clock import Clock, StartedClock, SystemClock, VirtualClock, parse_time
from trimtab.kernel.digest import digest_of, digest_of_bytes, digest_of_file, is_digest
from trimtab.kernel.duty import Duty
from trimtab.kernel.errors import Conflict, Invalid, MissingExtra, NotFound, Refused, TrimtabError, Unavailable
from trimtab.kernel.figures import figure, percent
from trimtab.kernel.ids import Ids, is_id, time_of
from trimtab.kernel.locks import lock, locked
from trimtab.kernel.permissions import EVERYTHING, GRANTED, NOTHING, Grants, Names, Permission
from trimtab.kernel.prepare import prepare_records
from trimtab.kernel.remote import Memory, Remote, ServerUnreachable
from trimtab.kernel.routes import (
    CURSOR,
    EACH,
    PROJECT,
    Body,
    Call,
    Part,
    Query,
    Resource,
    Route,
    in_body,
    in_path,
    in_query,
    limit_query,
    time_query,
)
from trimtab.kernel.settings import FILE_NAME, Setting, Settings, load, span_of
from trimtab.kernel.version import VERSION

__all__ = [
    "CURSOR",
    "EACH",
    "EVERYTHING",
    "FILE_NAME",
    "GRANTED",
    "NOTHING",
    "PROJECT",
    "SYSTEM",
    "VERSION",
    "Actor",
    "ActorKind",
    "Body",
    "Call",
    "Clock",
    "Conflict",
    "Duty",
    "Grants",
    "Ids",
    "Invalid",
    "Memory",
    "MissingExtra",
    "Names",
    "NotFound",
    "Part",
    "Permission",
    "Query",
    "Refused",
    "Remote",
    "Resource",
    "Route",
    "ServerUnreachable",
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
    "in_body",
    "in_path",
    "in_query",
    "is_digest",
    "is_id",
    "limit_query",
    "load",
    "lock",
    "locked",
    "parse_time",
    "percent",
    "prepare_records",
    "span_of",
    "this_user",
    "time_of",
    "time_query",
]  # fmt: skip
