"""The composition root: settings become objects, the rooms' routes become one HTTP server with locks on its doors.

In: settings, or an opened store and lists of routes. Out: an ASGI application, or a process that serves until it is
stopped.
"""

from trimtab.server.app import BadRoute, create_app
from trimtab.server.doors import COOKIE, Doors, is_loopback
from trimtab.server.errors import NotSignedIn
from trimtab.server.faces import Face, Mount
from trimtab.server.openapi import is_described, openapi_of
from trimtab.server.records import Access, IssuedToken, Token
from trimtab.server.rooms import Rooms
from trimtab.server.run import Address, NeedsToken, application, doors_of, running_server, serve
from trimtab.server.standing import Needs, Standing, needs_of, standing_of
from trimtab.server.tokens import active_token, has_active_token, issue_token, list_tokens, recognise, revoke_token

__all__ = [
    "COOKIE", "Access", "Address", "BadRoute", "Doors", "Face", "IssuedToken", "Mount", "Needs", "NeedsToken",
    "NotSignedIn", "Rooms", "Standing", "Token", "active_token", "application", "create_app", "doors_of",
    "has_active_token", "is_described", "is_loopback", "issue_token", "list_tokens", "needs_of", "openapi_of",
    "recognise", "revoke_token", "running_server", "serve", "standing_of",
]  # fmt: skip
