"""``/ui/sign-in``: a browser shows a token once and gets a session, where the server can be reached from elsewhere."""

from urllib.parse import urlsplit

from trimtab.kernel import EACH, Body, Call, Permission, Route
from trimtab.server import COOKIE, SESSION_LASTS, NotSignedIn
from trimtab.ui.forms import form_of
from trimtab.ui.render import see_other
from trimtab.ui.screen import Desk

AT = "/ui/sign-in"
_COOKIE = f"{COOKIE}={{secret}}; Path=/; HttpOnly; SameSite=Strict; Max-Age={{seconds}}{{secure}}"


def routes(desk: Desk) -> list[Route]:
    """Return the page and the forms that sign a browser in and out."""
    doors = desk.doors

    def page(call: Call) -> Body:
        return desk.pages.page(call, "sign_in.html", at=AT, wrong=False, back=_here(call.query.get("back", "")))

    def sign_in(call: Call, body: bytes) -> Body:
        form = form_of(body)
        back = _here(form.get("back", ""))
        try:
            secret = doors.sign_in(form.get("token", ""), address=call.address, because="signed in at the pages")
        except NotSignedIn as error:
            doors.note(error, None, asked=f"POST {AT}")
            return desk.pages.page(call, "sign_in.html", at=AT, status=403, wrong=True, back=back)
        # Behind TLS the proxy says so; over plain HTTP a Secure cookie would never come back.
        secure = "; Secure" if call.headers.get("x-forwarded-proto") == "https" else ""
        return _going_to(back, _COOKIE.format(secret=secret, seconds=int(SESSION_LASTS.total_seconds()), secure=secure))

    def sign_out(call: Call, _body: bytes) -> Body:
        doors.sign_out(call.headers, because="signed out at the pages")
        return _going_to(AT, _COOKIE.format(secret="", seconds=0, secure=""))

    public = Permission.PUBLIC
    return [
        Route(method="GET", path=AT, permission=public, resource=EACH, handler=page, summary="Sign in with a token"),
        Route(method="POST", path=AT, permission=public, resource=EACH, handler=sign_in, summary="Sign in",
              request=bytes, limit_bytes=4096),
        Route(method="POST", path="/ui/sign-out", permission=public, resource=EACH, handler=sign_out,
              summary="Sign out", request=bytes, limit_bytes=4096),
    ]  # fmt: skip


def _going_to(where: str, cookie: str) -> Body:
    """Answer a form: look there now, and keep this cookie."""
    answer = see_other(where)
    return Body(data=b"", media_type=answer.media_type, status=303, headers={**answer.headers, "set-cookie": cookie})


def _here(back: str) -> str:
    """Return where to go on, if that is a page of this server; the first page otherwise."""
    parts = urlsplit(back)
    inside = not parts.scheme and not parts.netloc and back.startswith("/ui") and "\\" not in back
    return back if inside else "/ui"
