"""The composition root: settings become objects, the rooms' routes become one HTTP server with locks on its doors.

In: settings, or an opened store and lists of routes. Out: an ASGI application, or a process that serves until it is
stopped.
"""

from trimtab.server.app import BadRoute, create_app
from trimtab.server.doors import COOKIE, Doors, is_loopback
from trimtab.server.errors import NotSignedIn
from trimtab.server.faces import Face, Mount
from trimtab.server.found import Address, running_server
from trimtab.server.listings import EventPage
from trimtab.server.logs import LogPart, server_log
from trimtab.server.openapi import is_described, named_by, openapi_of
from trimtab.server.records import Access, Health, IssuedToken, IssueToken, Me, Refusal, RefusalList, Token, TokenList
from trimtab.server.refusals import count_refusal, list_refusals
from trimtab.server.retention import (
    Collect,
    HoldList,
    MakeHold,
    collect_garbage,
    create_hold,
    preview_gc,
    retention_of,
)
from trimtab.server.rooms import Rooms
from trimtab.server.run import NeedsToken, application, doors_of, serve
from trimtab.server.sessions import LASTS as SESSION_LASTS
from trimtab.server.standing import Needs, Standing, needs_of, standing_of, time_of_project
from trimtab.server.tokens import (
    active_token,
    create_token,
    end_token,
    has_active_token,
    issue_token,
    list_tokens,
    recognise,
    revoke_token,
    the_active,
)

__all__ = [
    "COOKIE", "SESSION_LASTS", "Access", "Address", "BadRoute", "Collect", "Doors", "EventPage", "Face", "Health",
    "HoldList", "IssueToken", "IssuedToken", "LogPart", "MakeHold", "Me", "Mount", "Needs", "NeedsToken",
    "NotSignedIn", "Refusal", "RefusalList", "Rooms", "Standing", "Token", "TokenList", "active_token", "application",
    "collect_garbage", "count_refusal", "create_app", "create_hold", "create_token", "doors_of", "end_token",
    "has_active_token", "is_described", "is_loopback", "issue_token", "list_refusals", "list_tokens", "named_by",
    "needs_of", "openapi_of", "preview_gc", "recognise", "retention_of", "revoke_token", "running_server", "serve",
    "server_log", "standing_of", "the_active", "time_of_project",
]  # fmt: skip
