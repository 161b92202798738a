"""The forms that decide: approve, reject, serve, roll back. Each asks for a reason and writes its events."""

import re

from trimtab.kernel import Body, Call, Permission, Route
from trimtab.loop import StageName, approve_policy, approve_version, reject_policy, roll_back, serve_version
from trimtab.registry import reject as reject_version
from trimtab.ui.forms import form_of, reason_in
from trimtab.ui.links import version_href
from trimtab.ui.render import see_other
from trimtab.ui.screen import Desk, done_at

VERSION = "/ui/models/{model}/{version}"
PROPOSAL = "/ui/proposals/{id}"
_PAGE = re.compile(r"/ui(/[A-Za-z0-9_@%-][A-Za-z0-9_.@%-]*)*")
STAGES: dict[str, StageName] = {"shadow": "shadow", "canary": "canary", "full": "full"}


def routes(desk: Desk) -> list[Route]:
    """Return the forms that decide about a version or a policy."""
    store = desk.rooms.store

    def approve(call: Call, body: bytes) -> Body:
        form, ref = form_of(body), _ref(call)
        approve_version(
            store, ref, actor=call.actor, because=form.get("because", ""), override=form.get("override", "")
        )
        return see_other(_back(form) or version_href(ref))

    def reject(call: Call, body: bytes) -> Body:
        form, ref = form_of(body), _ref(call)
        with store.change(call.actor, form.get("because", "")) as change:
            reject_version(change, ref)
        return see_other(_back(form) or version_href(ref))

    def serve(call: Call, body: bytes) -> Body:
        form, ref = form_of(body), _ref(call)
        stage = STAGES.get(form.get("stage", ""), "full")
        endpoint = serve_version(
            store, ref, stage=stage, percent=_percent(stage, form), actor=call.actor, because=reason_in(form)
        )
        return see_other(f"/ui/endpoints/{endpoint.routing.endpoint}")

    def back(call: Call, body: bytes) -> Body:
        because = reason_in(form_of(body))
        endpoint = roll_back(store, call.path["endpoint"], actor=call.actor, because=because)
        return see_other(f"/ui/endpoints/{endpoint.routing.endpoint}")

    def approve_proposal(call: Call, body: bytes) -> Body:
        done = approve_policy(store, call.path["id"], actor=call.actor, because=reason_in(form_of(body)))
        return see_other(f"/ui/loop/{done.model}")

    def reject_proposal(call: Call, body: bytes) -> Body:
        done = reject_policy(store, call.path["id"], actor=call.actor, because=reason_in(form_of(body)))
        return see_other(f"/ui/loop/{done.model}")

    says = Permission.APPROVE
    return [
        done_at("/ui/endpoints/{endpoint}/rollback", back, about="Bring the version before back", permission=says),
        done_at(f"{PROPOSAL}/approve", approve_proposal, about="Approve a proposed policy", permission=says),
        done_at(f"{PROPOSAL}/reject", reject_proposal, about="Reject a proposed policy", permission=says),
        done_at(f"{VERSION}/approve", approve, about="Approve a version", permission=says),
        done_at(f"{VERSION}/reject", reject, about="Reject a version", permission=says),
        done_at(f"{VERSION}/serve", serve, about="Give a version its place at the endpoint", permission=says),
    ]


def _back(form: dict[str, str]) -> str:
    """Return the page that the form stood on, if it is one of ours: an address of another site would be a trap."""
    back = form.get("back", "")
    return back if _PAGE.fullmatch(back) else ""


def _ref(call: Call) -> str:
    return f"{call.path['model']}@{call.path['version']}"


def _percent(stage: StageName, form: dict[str, str]) -> float:
    if stage != "canary":
        return 100.0 if stage == "full" else 0.0
    try:
        return float(form.get("percent", "5"))
    except ValueError:
        return 0.0  # serving says what a share must be
