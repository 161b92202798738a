"""Routes of the governance room: why, model cards, evidence packs, differences, maturity, lineage."""

from itertools import islice
from typing import Annotated
from urllib.parse import quote

import msgspec

from trimtab.governance.card import model_card
from trimtab.governance.diff import diff
from trimtab.governance.history import position_at
from trimtab.governance.level import level, levels
from trimtab.governance.lineage import dependent_decisions, lineage, lineage_subjects
from trimtab.governance.pack import evidence_pack
from trimtab.governance.records import Card, Diff, Graph, LineageNode, Maturity, Why
from trimtab.governance.render import as_html, as_markdown
from trimtab.governance.why import why
from trimtab.kernel import (
    CURSOR,
    PROJECT,
    Body,
    Call,
    Invalid,
    Permission,
    Query,
    Route,
    in_path,
    in_query,
    limit_query,
    parse_time,
    time_query,
)
from trimtab.registry import CHAMPION
from trimtab.serving import find_decision
from trimtab.store import Store

VERSION = "/api/v1/models/{model}/versions/{version}"
POSITION = Query(
    name="position", meaning="As of this position of the ledger; the newest without it.",
    kind=Annotated[int, msgspec.Meta(ge=0)],
)  # fmt: skip
OF_MODEL = in_path("model")
MOST_IDS, USUAL_IDS = 10_000, 1000
_SUBJECT = Query(
    name="subject", required=True,
    meaning="What to follow: `version:late@2`, `decision:ID`, `source:flights`, `row:flights/key=value`, ...",
)  # fmt: skip
_PAGE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
}


class Maturities(msgspec.Struct, frozen=True, kw_only=True):
    """The maturity of each model that was asked about."""

    items: tuple[Maturity, ...]


class Subjects(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be followed by its events, the newest first."""

    items: tuple[LineageNode, ...]


class LedgerPosition(msgspec.Struct, frozen=True, kw_only=True):
    """The place of an event in the ledger, counted from 0."""

    position: int


class DecisionIds(msgspec.Struct, frozen=True, kw_only=True):
    """Ids of decisions, and where the next page begins (None: it was the last)."""

    items: tuple[str, ...]
    next: str | None = None


def routes(store: Store) -> list[Route]:
    """Return the room's routes over a store."""
    return [*_of_decisions(store), *_of_versions(store), *_of_all(store)]


def _of_decisions(store: Store) -> list[Route]:
    def endpoint_of(decision: str) -> str:
        return find_decision(store, decision).endpoint

    def explain(call: Call) -> Why:
        return why(store, call.path["id"])

    return [
        Route(
            method="GET", path="/api/v1/decisions/{id}/why", permission=Permission.READ,
            resource=in_path("id", endpoint_of), handler=explain,
            summary="Everything that a decision rests on, each part verified, and what is missing.", response=Why,
        ),
    ]  # fmt: skip


def _of_versions(store: Store) -> list[Route]:
    def card(call: Call) -> Card | Body:
        found = model_card(store, _ref(call), position=_position(call))
        match call.query.get("as", "json"):
            case "json":
                return found
            case "html":
                return Body(data=as_html(found).encode(), media_type="text/html; charset=utf-8", headers=_PAGE)
            case "md":
                return Body(data=as_markdown(found).encode(), media_type="text/markdown; charset=utf-8", headers=_PAGE)
            case other:
                raise Invalid(
                    f"there is no card as {other[:40]!r}",
                    where="query as",
                    why="A card is given as json, html or md.",
                    next="pass as=html",
                )

    def evidence(call: Call) -> Body:
        found = evidence_pack(store, _ref(call), position=_position(call))
        name = f"{found.ref.replace('@', '-')}.zip"
        headers = {
            "Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff",
            "Trimtab-Ref": found.ref, "Trimtab-Position": str(found.position),
            "Trimtab-Key": quote(found.key, safe="+/="),
        }  # fmt: skip
        return Body(data=found.data, media_type="application/zip", headers=headers)

    def differences(call: Call) -> Diff:
        was = call.query.get("was", CHAMPION)
        was = was if "@" in was else f"{call.path['model']}@{was}"
        return diff(store, was, _ref(call), position=_position(call))

    read = Permission.READ
    form = Query(name="as", meaning="The form: `json`, `html` or `md`.", default="json")
    other = "The other version: a number or an alias of this model, or `model@number`."
    was = Query(name="was", meaning=other, default=CHAMPION)
    return [
        Route(
            method="GET", path=f"{VERSION}/card", permission=read, resource=OF_MODEL,
            handler=card, response=Card, query=(form, POSITION),
            summary="The model card: each value with the record that it was read from, or missing.",
        ),
        Route(
            method="GET", path=f"{VERSION}/evidence", permission=read, resource=OF_MODEL,
            handler=evidence, query=(POSITION,),
            summary="The evidence pack: a zip that verifies offline, the same bytes for the same position.",
        ),
        Route(
            method="GET", path=f"{VERSION}/diff", permission=read, resource=OF_MODEL,
            handler=differences, response=Diff,
            query=(was, POSITION), summary="What differs from another version: data to approvals.",
        ),
    ]  # fmt: skip


def _of_all(store: Store) -> list[Route]:
    def maturity(call: Call) -> Maturities:
        model, position = call.query.get("model"), _position(call)
        found = (level(store, model, position=position),) if model else levels(store, position=position)
        return Maturities(items=found)

    def graph(call: Call) -> Graph:
        return lineage(store, call.query.get("subject", ""), position=_position(call))

    def subjects(call: Call) -> Subjects:
        return Subjects(items=lineage_subjects(store, position=_position(call)))

    def position(call: Call) -> LedgerPosition:
        return LedgerPosition(position=position_at(store, parse_time(call.query.get("at", ""), where="query at")))

    def dependent(call: Call) -> DecisionIds:
        limit, after = _number(call.query.get("limit", str(USUAL_IDS)), "limit", most=MOST_IDS), call.id_cursor()
        found = dependent_decisions(store, call.query.get("subject", ""), position=_position(call), after=after or "")
        page = tuple(islice(found, limit + 1))
        return DecisionIds(items=page[:limit], next=page[limit - 1] if len(page) > limit else None)

    read = Permission.READ
    model = Query(name="model", meaning="Only this model.")
    limit = limit_query(USUAL_IDS, most=MOST_IDS)
    at = msgspec.structs.replace(time_query("at", "The moment."), required=True)
    return [
        Route(
            method="GET", path="/api/v1/level", permission=read, resource=in_query("model"),
            handler=maturity, response=Maturities,
            query=(model, POSITION), summary="MLOps maturity by facts alone, with the events that prove each check.",
        ),
        Route(
            method="GET", path="/api/v1/lineage", permission=read, resource=PROJECT, handler=graph, response=Graph,
            query=(_SUBJECT, POSITION), summary="What something was made from, and what depends on it.",
        ),
        Route(
            method="GET", path="/api/v1/lineage/subjects", permission=read, resource=PROJECT, handler=subjects,
            response=Subjects, query=(POSITION,),
            summary="Everything whose lineage can be followed by its events, newest first.",
        ),
        Route(
            method="GET", path="/api/v1/ledger/position", permission=read, resource=PROJECT, handler=position,
            response=LedgerPosition, query=(at,), summary="The newest event that was recorded up to a moment.",
        ),
        Route(
            method="GET", path="/api/v1/lineage/decisions", permission=read, resource=PROJECT,
            handler=dependent, response=DecisionIds,
            query=(_SUBJECT, POSITION, limit, CURSOR), summary="Every sealed decision that depends on something.",
        ),
    ]  # fmt: skip


def _ref(call: Call) -> str:
    return f"{call.path['model']}@{call.path['version']}"


def _position(call: Call) -> int | None:
    text = call.query.get("position")
    return None if text is None else _number(text, "position", most=1 << 53)


def _number(text: str, name: str, *, most: int) -> int:
    if (
        not text.isascii()
        or not text.isdigit()
        or len(text) > 16
        or not (name == "position" or int(text))
        or int(text) > most
    ):
        raise Invalid(
            f"{name} is {text[:40]!r}",
            where=f"query {name}",
            why=f"It is a whole number, at most {most}.",
            next=f"pass for example {name}=100",
        )
    return int(text)
