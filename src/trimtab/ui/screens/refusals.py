"""``/ui/refusals``: who was refused what, how often, counted by the hour."""

from trimtab.kernel import Body, Call, Route
from trimtab.server import list_refusals
from trimtab.ui.screen import Desk, page_number, shown_at

AT = "/ui/refusals"
A_PAGE = 100


def routes(desk: Desk) -> list[Route]:
    """Return the page of refused attempts."""
    store = desk.rooms.store

    def refusals(call: Call) -> Body:
        desk.doors.refusals.write(store)
        page = page_number(call.query)
        found = list_refusals(store, limit=A_PAGE + 1, offset=(page - 1) * A_PAGE)
        return desk.pages.page(
            call, "refusals.html", at="/ui/audit", refusals=found[:A_PAGE], page=page, more=len(found) > A_PAGE
        )

    return [shown_at(AT, refusals, about="Refused attempts")]
