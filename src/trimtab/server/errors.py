"""Mistakes that only a server can see."""

from trimtab.kernel import Invalid, NotFound, Refused, Unavailable


class NotSignedIn(Refused):
    """The caller has not said who they are, and this server wants to know."""

    code = "server.not-signed-in"
    default_why = "Who sends a token, or calls from elsewhere, is known by an API token that still holds."
    default_next = "send 'Authorization: Bearer <token>'; an administrator makes one with: trimtab token create NAME"


class NotAllowed(Refused):
    """The caller is known, and may not do this."""

    code = "server.not-allowed"
    default_why = "It needs the permission {needed}, and this caller has: {held}."
    default_next = "trimtab token create NAME --may {wanted}"


class UserCode(Refused):
    """Code that a step runs behind the walls asks in the name of whoever started the server, or may be asking."""

    code = "server.user-code"
    default_why = "On loopback a request without a token counts as the server's user, whom a project's code is not."
    default_next = "type it in a terminal; or give the code a token: trimtab token create NAME --may log"


class TooManyFailures(Unavailable):
    """Wrong tokens came from this address, one after the other, so its next attempt has to wait."""

    code = "server.too-many-failures"
    default_why = "Whoever guesses at tokens is slowed down; a token that was taken here before is not held up."
    default_next = "wait {wait_s} s, then send a token that holds: trimtab token list"


class ForeignHost(Refused):
    """A name in the Host header that is not this server's: how a web page reaches into a machine (DNS rebinding)."""

    code = "server.foreign-host"
    default_why = "A server on this machine answers only to names of this machine, so that no web page can reach it."
    default_next = "use http://127.0.0.1, or set TRIMTAB_HOSTS to the names that this server has"


class ForeignOrigin(Refused):
    """A change that another site's page asks for in the name of whoever looks at it."""

    code = "server.foreign-origin"
    default_why = "A browser says that the request comes from a page of another site."
    default_next = "open this server's own page and repeat it there"


class TooLarge(Invalid):
    """The body is longer than the route takes."""

    code = "server.too-large"
    default_why = "This operation takes at most {limit} bytes."
    default_next = "send it in parts"


class UnknownParameter(Invalid):
    """A query parameter that the operation does not have. Misspelt, it would silently narrow nothing down."""

    code = "server.unknown-parameter"
    default_why = "What nobody reads would silently do nothing, and the answer would be to another question."
    default_next = "{known}"


class WrongMethod(Invalid):
    """The path exists, but not for this method."""

    code = "server.wrong-method"
    default_why = "This path answers {allowed}."
    default_next = "GET /api/v1/openapi.json"


class NoSuchPage(NotFound):
    """Nothing lives at this path."""

    code = "server.no-such-path"
    default_why = "No operation of this server has this path."
    default_next = "GET /api/v1/openapi.json"


class Stopping(Unavailable):
    """The server stops, and the request was still under way when it could wait no longer."""

    code = "server.stopping"
    default_why = "A server that was told to stop gives the requests under way a moment, and then leaves them."
    default_next = "send it again; before a change, see whether it was made after all: trimtab get events"


class NotReachable(Unavailable):
    """The server cannot listen where it was told to."""

    code = "server.cannot-listen"
