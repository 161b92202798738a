"""``/ui/sign-in``: a browser shows its token once and gets a cookie, where the server can be reached from elsewhere."""

from urllib.parse import urlsplit

from trimtab.kernel import Body, Call, Permission, Route
from trimtab.server import COOKIE, recognise
from trimtab.ui.forms import form_of
from trimtab.ui.render import see_other
from trimtab.ui.screen import Desk

AT = "/ui/sign-in"


def routes(desk: Desk) -> list[Route]:
    """Return the page and the forms that sign a browser in and out."""
    store = desk.rooms.store

    def page(call: Call) -> Body:
        return desk.pages.page(call, "sign_in.html", at=AT, wrong=False, back=_here(call.query.get("back", "")))

    def sign_in(call: Call, body: bytes) -> Body:
        form = form_of(body)
        back = _here(form.get("back", ""))
        if recognise(store, form.get("token", ""), now=store.clock.now()) is None:
            return desk.pages.page(call, "sign_in.html", at=AT, status=403, wrong=True, back=back)
        # Behind TLS the proxy says so; over plain HTTP a Secure cookie would never come back.
        secure = "; Secure" if call.headers.get("x-forwarded-proto") == "https" else ""
        cookie = f"{COOKIE}={form['token']}; Path=/; HttpOnly; SameSite=Strict; Max-Age=604800{secure}"
        answer = see_other(back)
        return Body(
            data=b"", media_type=answer.media_type, status=303, headers={**answer.headers, "set-cookie": cookie}
        )

    def sign_out(_call: Call, _body: bytes) -> Body:
        gone = f"{COOKIE}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
        answer = see_other(AT)
        return Body(data=b"", media_type=answer.media_type, status=303, headers={**answer.headers, "set-cookie": gone})

    public = Permission.PUBLIC
    return [
        Route(method="GET", path=AT, permission=public, handler=page, summary="Sign in with a token"),
        Route(method="POST", path=AT, permission=public, handler=sign_in, summary="Sign in", request=bytes,
              limit_bytes=4096),
        Route(method="POST", path="/ui/sign-out", permission=public, handler=sign_out, summary="Sign out",
              request=bytes, limit_bytes=4096),
    ]  # fmt: skip


def _here(back: str) -> str:
    """Return where to go on, if that is a page of this server; the first page otherwise."""
    parts = urlsplit(back)
    inside = not parts.scheme and not parts.netloc and back.startswith("/ui") and "\\" not in back
    return back if inside else "/ui"
