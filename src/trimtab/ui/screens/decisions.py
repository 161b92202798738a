"""``/ui/decisions``: what was answered, and why: the path from one decision back to its rows."""

from trimtab.governance import why
from trimtab.kernel import Body, Call, Route, in_path
from trimtab.serving import decisions, find_decision, list_endpoints
from trimtab.ui.screen import Desk, shown_at
from trimtab.ui.screens.evaluation import gate_lines

AT = "/ui/decisions"
DECISIONS_A_PAGE = 50


def routes(desk: Desk) -> list[Route]:
    """Return the pages of decisions."""
    store = desk.rooms.store

    def all_of_them(call: Call) -> Body:
        names = [endpoint.routing.endpoint for endpoint in list_endpoints(store)]
        chosen = call.query.get("endpoint", "")
        before = call.query.get("before") or None
        found = [
            decision
            for name in ([chosen] if chosen else names)
            for decision in decisions(store, name, limit=DECISIONS_A_PAGE + 1, before_id=before)
        ]
        found = sorted(found, key=lambda decision: decision.id, reverse=True)
        shown = found[:DECISIONS_A_PAGE]
        return desk.pages.page(
            call, "decisions.html", at=AT, decisions=shown, endpoints=names, query_values=dict(call.query),
            before=shown[-1].id if len(found) > DECISIONS_A_PAGE else "",
        )  # fmt: skip

    def one(call: Call) -> Body:
        found = why(store, call.path["id"])
        gate = gate_lines(found.evaluation.report.verdict if found.evaluation else None)
        return desk.pages.page(call, "decision.html", at=AT, why=found, decision=found.decision, gate=gate)

    of_decision = in_path("id", lambda decision: find_decision(store, decision).endpoint)
    return [
        shown_at(AT, all_of_them, about="Decisions"),
        shown_at(f"{AT}/{{id}}", one, about="Why one decision was taken", resource=of_decision),
    ]
