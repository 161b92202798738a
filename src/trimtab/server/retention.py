"""What a project keeps and for how long: the rules of all rooms together, gc, and legal holds."""

from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import Connection

from trimtab.data import SupersededSnapshots, needed_as_latest
from trimtab.features import needed_by_features
from trimtab.kernel import PROJECT, Actor, Call, Conflict, Invalid, NotFound, Permission, Query, Route, span_of
from trimtab.loop import held_with, is_governed, is_known, needed_by_turns, used_from
from trimtab.monitoring import OldDecisions, take_before
from trimtab.pipelines import EndedPipelineRuns, FailedOutputs, StepLogs, needed_by_open_runs, writing_since
from trimtab.registry import needed_by_versions
from trimtab.store import (
    CLASSES,
    DECISIONS,
    GOVERNED_DECISIONS,
    Collection,
    Hold,
    Retention,
    Store,
    active_holds,
    check_reason,
    collect,
    end_hold,
    list_holds,
    make_hold,
    preview,
)
from trimtab.tracking import EndedTrackedRuns, needed_by_running


class MakeHold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``subject`` is ``endpoint:NAME``, ``model:NAME``, ``run:ID`` or ``all``."""

    subject: str


class Collect(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``classes`` are what is let go of, by the names of the settings ``keep_...``; none stands for all."""

    classes: tuple[str, ...] = ()


class HoldList(msgspec.Struct, frozen=True):
    items: tuple[Hold, ...]
    next: str | None = None


def retention_of(store: Store) -> Retention:
    """Return the rules of every room; what may need something else is let go before it."""
    governed = is_governed(store)

    def others(connection: Connection) -> Callable[[str], bool]:
        is_one = governed(connection)
        return lambda endpoint: not is_one(endpoint)

    return Retention(
        rules=(
            FailedOutputs(),
            StepLogs(store),
            EndedTrackedRuns(),
            EndedPipelineRuns(store),
            SupersededSnapshots(store),
            OldDecisions(store, DECISIONS, chosen=others, used_from=used_from),
            OldDecisions(store, GOVERNED_DECISIONS, chosen=governed, used_from=used_from),
        ),
        needs=(
            needed_as_latest, needed_by_features, needed_by_running, needed_by_open_runs, needed_by_versions,
            needed_by_turns,
        ),
        covers=held_with(store),
        writing_since=writing_since,
    )  # fmt: skip


def preview_gc(store: Store, *, classes: Sequence[str] = ()) -> Collection:
    """Say what ``collect_garbage`` would remove now, of the classes that are named (none: of all). Nothing changes.

    The bytes of what rows name are counted with the rows; a real gc counts them with the blobs as well. Raises
    ``Invalid`` for a class that there is not, ``RowForged`` as ``collect_garbage`` does.
    """
    return preview(store, retention_of(store), classes=classes)


def collect_garbage(store: Store, *, classes: Sequence[str] = (), actor: Actor, because: str) -> Collection:
    """Remove what is older than its class's age, needed by nothing and held by nobody; return what that was.

    Safe while servers, runners and gateways work, and to be killed at any moment. Raises ``ReasonMissing``,
    ``Invalid`` for a class that there is not, ``AnotherCollects``, ``KeyMissing`` or ``Closed`` in a home that may not
    write, and ``RowForged`` when a hold, a version, a policy or a turn is not what the ledger says: before anything is
    removed, and nothing more when that comes later.
    """
    check_reason(because, "trimtab gc")
    for name in (DECISIONS, GOVERNED_DECISIONS):
        span = span_of(getattr(store.settings, f"keep_{name}"))
        if span is not None and name in (classes or CLASSES):
            take_before(store, store.clock.now() - span)
    return collect(store, retention_of(store), actor=actor, because=because, classes=classes)


def create_hold(store: Store, asked: MakeHold, *, actor: Actor, because: str) -> Hold:
    """Put a hold on something. Raises ``ReasonMissing``, ``Invalid`` for what no hold can be on, ``NotFound`` for what
    was never there, and ``Conflict`` for a hold that somebody has just made of the same for the same reason.
    """
    kind, _, name = asked.subject.partition(":")
    if asked.subject != "all" and (kind not in ("endpoint", "model", "run") or not name or len(asked.subject) > 200):
        raise Invalid(
            f"no hold can be on {asked.subject[:100]!r}",
            where="holds: subject",
            why="A hold is on all of a model, of an endpoint or of a run, or on everything.",
            next="trimtab hold create model:late --because 'case 12'; or endpoint:NAME, run:ID, all",
        )
    with store.change(actor, because) as change:
        if not is_known(store, change.connection, asked.subject):
            raise NotFound(
                f"there is no {kind} {name[:100]!r}",
                where="holds: subject",
                why="A hold on a misspelt name would keep nothing.",
                next="trimtab get models, trimtab get endpoints, or trimtab get runs",
            )
        mine = [one for one in active_holds(change.connection) if one.subject == asked.subject]
        if any(one.because == because for one in mine):
            raise Conflict(
                f"{asked.subject} is held for this reason already",
                where="holds",
                why=f"Hold {mine[0].id} was made by {mine[0].by}.",
                next="trimtab get holds",
            )
        return make_hold(change, asked.subject)


def routes(store: Store) -> list[Route]:
    """Return the routes of retention: what a gc would remove, gc itself, and the holds."""

    def look(call: Call) -> Collection:
        return preview_gc(store, classes=[one for one in call.query.get("classes", "").split(",") if one])

    def remove(call: Call, asked: Collect) -> Collection:
        """It may take minutes. Killed or repeated, it goes on where it was."""
        return collect_garbage(store, classes=asked.classes, actor=call.actor, because=call.because)

    def holds(_call: Call) -> HoldList:
        return HoldList(list_holds(store))

    def make(call: Call, asked: MakeHold) -> Hold:
        return create_hold(store, asked, actor=call.actor, because=call.because)

    def end(call: Call) -> Hold:
        return end_hold(store, call.path["id"], actor=call.actor, because=call.because)

    named = Query(name="classes", meaning=f"Only these classes, separated by commas: {', '.join(CLASSES)}.")
    read, admin = Permission.READ, Permission.ADMIN
    return [
        Route(method="GET", path="/api/v1/gc", permission=admin, resource=PROJECT, handler=look, query=(named,),
              response=Collection, summary="Say what a gc would remove, class by class"),
        Route(method="POST", path="/api/v1/gc", permission=admin, resource=PROJECT, handler=remove, request=Collect,
              response=Collection, summary="Remove what is older than its class is kept"),
        Route(method="GET", path="/api/v1/holds", permission=read, resource=PROJECT, handler=holds,
              response=HoldList, summary="List legal holds, the newest first"),
        Route(method="POST", path="/api/v1/holds", permission=admin, resource=PROJECT, handler=make, request=MakeHold,
              response=Hold, status=201, summary="Hold a model, an endpoint, a run or everything"),
        Route(method="DELETE", path="/api/v1/holds/{id}", permission=admin, resource=PROJECT, handler=end,
              response=Hold, summary="End a hold, by its id or by what it is on"),
    ]  # fmt: skip
