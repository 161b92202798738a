"""Routes of the registry: models, versions, approvals, aliases and releases."""

from typing import Any

import msgspec

from trimtab.kernel import CURSOR, EACH, Call, Invalid, Permission, Route, in_path, limit_query
from trimtab.registry.alias import drop_alias, set_alias
from trimtab.registry.approve import approval_state, approve, reject_version, retire
from trimtab.registry.find import (
    ModelPage,
    VersionPage,
    get_model,
    get_version,
    list_approvals,
    list_models,
    list_releases,
    list_versions,
)
from trimtab.registry.records import CHAMPION, Approval, ApprovalState, Limits, Model, Version, VersionRef
from trimtab.registry.refused import refused_approvals
from trimtab.registry.release import get_release, release_for
from trimtab.registry.revoke import revoke_release
from trimtab.registry.sample import sample_rows
from trimtab.registry.statement import Release
from trimtab.store import Store

LIMIT = 100
MOST_ITEMS = 500
VERSION = "/api/v1/models/{model}/versions/{version}"
OF_MODEL = in_path("model")


class ApproveRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``because`` may also come as the request's own reason; ``override`` only when the gate did not pass."""

    because: str = ""
    override: str = ""
    limits: Limits | None = None


class ReasonRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    because: str = ""


class AliasRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The version that the alias names from now on."""

    version: int
    because: str = ""


class VersionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A version, its aliases, everything that was decided about it, and its releases."""

    version: Version
    aliases: list[str]
    approvals: list[Approval]
    releases: list[Release]


class SampleRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that were kept with a version, in the form of a request."""

    items: list[dict[str, Any]]


class Revoked(msgspec.Struct, frozen=True, kw_only=True):
    """The release that does not hold any more."""

    release: str


def routes(store: Store) -> list[Route]:
    """Return the room's routes over a store. Version numbers in a path may also be aliases."""
    return [*_reading(store), *_deciding(store)]


def _reading(store: Store) -> list[Route]:
    def models(call: Call) -> ModelPage:
        return list_models(store, limit=_limit(call), cursor=call.query.get("cursor", ""), only=call.only)

    def model(call: Call) -> Model:
        return get_model(store, call.path["model"])

    def versions(call: Call) -> VersionPage:
        cursor = call.query.get("cursor")
        before = None if cursor is None else _number(cursor, "cursor", most=1 << 31)
        return list_versions(store, call.path["model"], limit=_limit(call), before=before)

    def version(call: Call) -> VersionAnswer:
        found = get_version(store, _ref(call))
        named = get_model(store, found.model).aliases
        return VersionAnswer(
            version=found,
            aliases=[alias for alias, number in named.items() if number == found.number],
            approvals=list(list_approvals(store, found)),
            releases=list(list_releases(store, found)),
        )

    def sample(call: Call) -> SampleRows:
        return SampleRows(items=sample_rows(store, _ref(call), limit=call.limit(1, most=MOST_ITEMS)))

    def state(call: Call) -> ApprovalState:
        return approval_state(store, _ref(call))

    read = Permission.READ
    return [
        Route(
            method="GET", path="/api/v1/models", permission=read, resource=EACH, handler=models, response=ModelPage,
            query=(limit_query(LIMIT, most=MOST_ITEMS), CURSOR), summary="List models by name",
        ),
        Route(
            method="GET", path="/api/v1/models/{model}", permission=read, resource=OF_MODEL,
            handler=model, response=Model,
            summary="Show a model with its aliases",
        ),
        Route(
            method="GET", path="/api/v1/models/{model}/versions", permission=read, resource=OF_MODEL, handler=versions,
            response=VersionPage, query=(limit_query(LIMIT, most=MOST_ITEMS), CURSOR),
            summary="List a model's versions, newest first",
        ),
        Route(
            method="GET", path=VERSION, permission=read, resource=OF_MODEL, handler=version, response=VersionAnswer,
            summary="Show a version: what it is bound to, its aliases, approvals and releases",
        ),
        Route(
            method="GET", path=f"{VERSION}/sample", permission=read, resource=OF_MODEL, handler=sample,
            response=SampleRows, query=(limit_query(1, most=MOST_ITEMS),),
            summary="Show rows of the sample that is stored with a version",
        ),
        Route(
            method="GET", path=f"{VERSION}/approval", permission=read, resource=OF_MODEL,
            handler=state, response=ApprovalState,
            summary="Verify every covered byte and say whether the approval holds now",
        ),
    ]  # fmt: skip


def _deciding(store: Store) -> list[Route]:
    def approve_(call: Call, request: ApproveRequest) -> Approval:
        because = request.because or call.because
        with (
            refused_approvals(store, _ref(call), actor=call.actor, because=because),
            store.change(call.actor, because) as change,
        ):
            return approve(change, _ref(call), override=request.override, limits=request.limits)

    def reject_(call: Call, request: ReasonRequest) -> Approval:
        return reject_version(store, _ref(call), actor=call.actor, because=request.because or call.because)

    def retire_(call: Call, request: ReasonRequest) -> Version:
        with store.change(call.actor, request.because or call.because) as change:
            return retire(change, _ref(call))

    def model_of(release: str) -> str:
        return get_release(store, release).statement.model

    def release(call: Call) -> Release:
        return release_for(store, _ref(call), actor=call.actor, because=call.because or "asked for over HTTP")

    def revoke(call: Call, request: ReasonRequest) -> Revoked:
        with store.change(call.actor, request.because or call.because) as change:
            revoke_release(change, call.path["id"])
        return Revoked(release=call.path["id"])

    def alias(call: Call, request: AliasRequest) -> Model:
        with store.change(call.actor, request.because or call.because) as change:
            set_alias(change, VersionRef(call.path["model"], request.version, ""), call.path["alias"])
        return get_model(store, call.path["model"])

    def unalias(call: Call) -> Model:
        with store.change(call.actor, call.because) as change:
            drop_alias(change, call.path["model"], call.path["alias"])
        return get_model(store, call.path["model"])

    says = Permission.APPROVE
    return [
        Route(
            method="POST", path=f"{VERSION}/approve", permission=says, resource=OF_MODEL,
            handler=approve_, request=ApproveRequest,
            response=Approval, summary="Approve a candidate, with a reason",
        ),
        Route(
            method="POST", path=f"{VERSION}/reject", permission=says, resource=OF_MODEL,
            handler=reject_, request=ReasonRequest,
            response=Approval, summary="Reject a candidate or take an approval back, with a reason",
        ),
        Route(
            method="POST", path=f"{VERSION}/retire", permission=says, resource=OF_MODEL,
            handler=retire_, request=ReasonRequest,
            response=Version, summary="Put a version out of use for good, with a reason",
        ),
        Route(
            method="POST", path=f"{VERSION}/release", permission=says, resource=OF_MODEL,
            handler=release, response=Release,
            summary="Issue the signed release of an approved version, or return the one that holds",
        ),
        Route(
            method="POST", path="/api/v1/releases/{id}/revoke", permission=says, resource=in_path("id", model_of),
            handler=revoke, request=ReasonRequest,
            response=Revoked, summary="Take a release back, with a reason",
        ),
        Route(
            method="PUT", path="/api/v1/models/{model}/aliases/{alias}", permission=says, resource=OF_MODEL,
            handler=alias,
            request=AliasRequest, response=Model,
            summary=f"Let an alias name a version; {CHAMPION} names only an approved one",
        ),
        Route(
            method="DELETE", path="/api/v1/models/{model}/aliases/{alias}", permission=says, resource=OF_MODEL,
            handler=unalias,
            response=Model, summary="Let an alias name nothing",
        ),
    ]  # fmt: skip


def _ref(call: Call) -> VersionRef:
    return VersionRef.parse(f"{call.path['model']}@{call.path['version']}")


def _limit(call: Call) -> int:
    return _number(call.query.get("limit", str(LIMIT)), "limit", most=MOST_ITEMS)


def _number(text: str, name: str, *, most: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 10 or not 1 <= int(text) <= most:
        raise Invalid(
            f"{name} is {text[:40]!r}", where=f"query parameter {name}", why=f"It is a number from 1 to {most}.",
            next=f"pass for example {name}=50",
        )  # fmt: skip
    return int(text)
