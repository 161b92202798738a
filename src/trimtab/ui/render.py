"""Turn a template and its values into a page: one environment, the security headers, the words for time and numbers."""

import re
import shlex
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from trimtab.kernel import VERSION, Body, Call, Clock, TrimtabError
from trimtab.kernel import percent as share_in_percent
from trimtab.ui.assets import Assets
from trimtab.ui.draw.scale import short
from trimtab.ui.python import given, python_line
from trimtab.ui.tones import tone_of

OK = 200
_SPANS = ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"))
HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
}


_HOST = re.compile(r"[A-Za-z0-9_.-]{1,253}(:[0-9]{1,5})?|\[[0-9a-fA-F:.]{2,45}\](:[0-9]{1,5})?")


class Link(msgspec.Struct, frozen=True):
    """An entry of the side bar; ``key`` follows ``g`` on the keyboard."""

    href: str
    text: str
    key: str


class Stat(msgspec.Struct, frozen=True):
    """One number that stands large, with its unit and what there is to say about it."""

    name: str
    value: Any
    unit: str = ""
    note: str = ""


NAVIGATION: tuple[tuple[str, tuple[Link, ...]], ...] = (
    ("", (Link("/ui", "Home", "h"),)),
    ("Build", (
        Link("/ui/data", "Data", "d"), Link("/ui/features", "Features", "f"), Link("/ui/runs", "Runs", "r"),
        Link("/ui/pipelines", "Pipelines", "p"),
    )),
    ("Ship", (Link("/ui/models", "Models", "m"), Link("/ui/endpoints", "Endpoints", "e"))),
    ("Watch", (
        Link("/ui/loop", "Loop", "l"), Link("/ui/monitor", "Monitor", "w"), Link("/ui/decisions", "Decisions", "i"),
    )),
    ("Govern", (Link("/ui/audit", "Audit", "a"), Link("/ui/api", "API", "o"))),
)  # fmt: skip


class Pages:
    """Renders templates for one server.

    ``clock`` tells what "5 min ago" means, ``size`` how many events the ledger holds, so that a page can tell whether
    it is still the newest; ``signs_in``: people show a token.
    """

    def __init__(self, *, clock: Clock, assets: Assets, project: str, signs_in: bool, size: Callable[[], int]) -> None:
        self._clock = clock
        self._size = size
        self._environment = Environment(
            loader=PackageLoader("trimtab.ui"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip
        self._environment.filters.update(
            ago=self._ago, when=when, num=number, counted=counted, short=short, brief=brief, percent=percent, span=span,
            took=took, signed=signed, words=words, quoted=quoted, given=given,
        )  # fmt: skip
        self._environment.globals.update(
            asset=assets.url,
            navigation=NAVIGATION,
            trimtab_version=VERSION,
            project=project,
            signs_in=signs_in,
            query=query_of,
            stat=Stat,
            tone=tone_of,
            python=python_line,
        )

    def page(self, call: Call, template: str, /, *, at: str, status: int = OK, **values: Any) -> Body:
        """Return the page that a template makes of these values; ``at`` is the address of its entry in the side bar."""
        text = self._environment.get_template(template).render(
            at=at, actor=call.actor, address=address_of(call), now=self._clock.now(),
            known=self._size() if status == OK else "", **values,
        )  # fmt: skip
        return Body(data=text.encode(), media_type="text/html; charset=utf-8", headers=HEADERS, status=status)

    def error(self, call: Call, error: TrimtabError, *, status: int) -> Body:
        """Return the page that tells a mistake in its four parts."""
        return self.page(call, "error.html", at="", status=status, error=error.parts())

    def _ago(self, at: datetime | None) -> str:
        if at is None:
            return "never"
        passed = self._clock.now() - at
        if passed < timedelta(0):
            return "in " + span(-passed.total_seconds(), most=1)
        return "just now" if passed < timedelta(seconds=5) else span(passed.total_seconds(), most=1) + " ago"


def address_of(call: Call) -> str:
    """Return the address at which this page was asked for, as its reader would write it; behind a proxy, the proxy's.

    A host that no shell would take as one word is not repeated: the line is there to be copied.
    """
    host = call.headers.get("host", "")
    scheme = "https" if call.headers.get("x-forwarded-proto") == "https" else "http"
    return f"{scheme}://{host if _HOST.fullmatch(host) else '127.0.0.1'}"


def see_other(where: str) -> Body:
    """Answer a form: look there now."""
    return Body(data=b"", media_type="text/plain", status=303, headers={"location": where, "cache-control": "no-store"})


def when(at: datetime | None) -> str:
    return "–" if at is None else at.strftime("%Y-%m-%d %H:%M:%S")


def number(value: float | None) -> str:
    """Return a whole number in groups of three, or another with four digits."""
    if value is None:
        return "–"
    return f"{value:,}".replace(",", "\u202f") if isinstance(value, int) else short(value)


def counted(n: int, noun: str) -> str:
    """Return a count with its noun, which is given for many: ``1 row``, ``1 200 rows``."""
    return f"{number(n)} {noun.removesuffix('s') if n == 1 else noun}"


def percent(value: float | None) -> str:
    """Return a share in percent; 100 % is all of it, and never nearly all."""
    return "–" if value is None else share_in_percent(value)


def signed(value: float | None) -> str:
    """Return a difference with its sign, zero without one."""
    if not value:
        return short(value)
    return ("+" if value > 0 else "\u2212") + short(abs(value))


def brief(text: str | None) -> str:
    """Return the beginning of a digest or id, enough to tell it from its neighbours."""
    if not text:
        return "–"
    name, _, rest = text.partition(":")
    return f"{name}:{rest[:10]}…" if rest else text if len(text) <= 16 else f"{text[:6]}…{text[-6:]}"


def span(seconds: float | None, *, most: int = 2) -> str:
    """Return a span of time in its one or two largest units."""
    if seconds is None:
        return "–"
    if not seconds:
        return "0 s"
    if seconds < 0:  # two clocks that do not agree
        return "\u2212" + span(-seconds, most=most)
    if seconds < 0.9995e-3:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < (59.95 if most > 1 else 59.5):
        return f"{seconds:.3g} s" if most > 1 else f"{seconds:.0f} s"
    seconds = round(seconds)
    size, unit, small, below = next(step for step in _SPANS if seconds >= step[0])
    first, rest = int(seconds // size), int(seconds % size // small)
    return f"{first} {unit} {rest} {below}" if rest and first < 10 and most > 1 else f"{first} {unit}"


def took(seconds: float | None) -> str:
    """Return how long answers took; without a figure the clock stood still, as in a replay, or there is no answer."""
    return "not measured" if seconds is None else span(seconds)


def words(values: Mapping[str, Any], **options: str) -> str:
    """Return what a page was asked for as words of a command line: after its option, or alone where that is empty.

    Whoever made a link chose these values, and whoever follows it copies the line into a shell.
    """
    said = [(option, str(values[name])) for name, option in options.items() if values.get(name)]
    return "".join(f" {option} {shlex.quote(value)}" if option else f" {shlex.quote(value)}" for option, value in said)


def quoted(text: str) -> str:
    """Return a text as Python and JSON write it."""
    return msgspec.json.encode(text).decode()


def query_of(values: Mapping[str, Any], **changed: Any) -> str:
    """Return a query string of these values with some changed; empty ones are left out."""
    kept = given(dict(values) | changed)
    return "?" + urlencode(kept) if kept else "?"
