"""How things stood at a past moment: from what is never changed, and from the ledger for what is.

Each function returns what was there at ``asked.at``, as its noun would have listed it then. A noun whose records are
changed in place and whose changes the ledger does not hold has no function here, and ``trimtab get`` says so.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec

from trimtab.cli.nouns.noun import Asked, missing
from trimtab.cli.session import Session
from trimtab.data import Snapshot, get_snapshot, list_snapshots
from trimtab.evaluation import get_evaluation, list_evaluations
from trimtab.features import RegisteredView, get_view
from trimtab.kernel import NotFound
from trimtab.registry import LATEST, Status, Version, all_models, all_versions, get_model, get_version
from trimtab.server import Token, list_tokens
from trimtab.serving import Endpoint, NoEndpoint, Routing
from trimtab.store import Recorded, events
from trimtab.tracking import Experiment, list_experiments

T = TypeVar("T")
_PAGE = 1000
_STATUS = {
    "registry.version-approved": Status.APPROVED,
    "registry.version-rejected": Status.REJECTED,
    "registry.version-retired": Status.RETIRED,
}


def until_then(asked: Asked) -> Asked:
    """Return the same question, bounded by the moment that is asked for."""
    assert asked.at is not None
    end = just_after(asked.at)
    return msgspec.structs.replace(asked, until=end if asked.until is None else min(end, asked.until))


def just_after(at: datetime) -> datetime:
    """Return the first moment that does not belong to ``at`` any more: bounds of listings are exclusive."""
    return at + timedelta(microseconds=1)


def sources(session: Session, asked: Asked) -> Any:
    """The newest snapshot of each source: by the events that made it the newest."""
    heads = {event.data["source"]: event.data["snapshot_id"] for event in told(session, asked, "data.snapshot-taken")}
    if asked.name:
        return source_at(session, asked)
    return [session.ask(get_snapshot, id_) for _, id_ in sorted(heads.items())]


def source_at(session: Session, asked: Asked) -> Snapshot:
    """Return the newest snapshot of the source that is named. Raises ``NotFound``."""
    found = [
        event.data["snapshot_id"]
        for event in told(session, asked, "data.snapshot-taken")
        if event.data["source"] == asked.name
    ]
    if not found:
        raise _not_yet("sources", asked)
    return session.ask(get_snapshot, found[-1])


def snapshots(session: Session, asked: Asked) -> Any:
    """Snapshots never change: those that had been taken."""
    if asked.name.startswith("snap_"):
        found = session.ask(get_snapshot, asked.name)
        return then(found, lambda s: s.taken_at, noun="snapshots", asked=asked)
    source = asked.name or None
    return _paged(
        lambda cursor: session.ask(list_snapshots, source, limit=_PAGE, cursor=cursor), asked, lambda s: s.taken_at
    )


def views(session: Session, asked: Asked) -> Any:
    """Each view in the version that was the newest, as far online as it was."""
    name, _, number = asked.name.partition("@")
    newest: dict[str, int] = {}
    for event in told(session, asked, "features.view-registered"):
        newest[event.data["view"]] = event.data["view_version"]
    online = {event.data["digest"]: event.data["now"] for event in told(session, asked, "features.view-materialised")}
    if number and not number.isdecimal():
        raise _not_yet("views", asked)
    if name:
        if name not in newest or int(number or 1) > newest[name]:
            raise _not_yet("views", asked)
        return _view(session, name, int(number) if number else newest[name], online, asked)
    return [_view(session, one, version, online, asked) for one, version in sorted(newest.items())][: asked.limit]


def experiments(session: Session, asked: Asked) -> Any:
    """Experiments never change: those that had begun."""
    assert asked.at is not None
    found: list[Experiment] = [one for one in session.ask(list_experiments) if one.created_at <= asked.at]
    named = [one for one in found if asked.name in ("", one.name, one.id)]
    if asked.name and not named:
        raise _not_yet("experiments", asked)
    return named


def evaluations(session: Session, asked: Asked) -> Any:
    """Evaluations never change: those that had been saved."""
    if asked.name:
        return then(
            session.ask(get_evaluation, asked.name), lambda e: e.record.saved_at, noun="evaluations", asked=asked
        )
    return _paged(lambda cursor: session.ask(list_evaluations, limit=_PAGE, cursor=cursor), asked, lambda e: e.saved_at)


def models(session: Session, asked: Asked) -> Any:
    """Each model with the versions and aliases that it had."""
    named = [session.ask(get_model, asked.name)] if asked.name else list(session.ask(all_models))
    aliases = _aliases(session, asked)
    counts: dict[str, int] = {}
    for event in told(session, asked, "registry.version-registered"):
        counts[event.data["model"]] = counts.get(event.data["model"], 0) + 1
    found = [
        msgspec.structs.replace(model, versions=counts[model.name], aliases=aliases.get(model.name, {}))
        for model in named
        if model.name in counts
    ]
    if asked.name and not found:
        raise _not_yet("models", asked)
    return found[0] if asked.name else found[: asked.limit]


def _named(session: Session, asked: Asked, model: str) -> dict[str, int]:
    """Return what names of a model's versions meant: its aliases then, and the newest that there was."""
    registered = told(session, asked, "registry.version-registered")
    newest = max((event.data["number"] for event in registered if event.data["model"] == model), default=0)
    return {**_aliases(session, asked).get(model, {}), LATEST: newest}


def versions(session: Session, asked: Asked) -> Any:
    """Each version with the status that it had."""
    assert asked.at is not None
    name, at, which = asked.name.partition("@")
    if at:
        number = int(which) if which.isdecimal() else _named(session, asked, name).get(which, 0)
        if not number:
            raise _not_yet("versions", asked)
        found = session.ask(get_version, f"{name}@{number}")
        return _with_status(session, asked, [then(found, lambda v: v.registered_at, noun="versions", asked=asked)])[0]
    names = [name] if name else [model.name for model in list(session.ask(all_models))]
    listed = [
        version for one in names for version in session.ask(all_versions, one) if version.registered_at <= asked.at
    ]
    return _with_status(session, asked, listed)[: asked.limit]


def endpoints(session: Session, asked: Asked) -> Any:
    """Each endpoint as it was routed: by the events that changed it."""
    found: dict[str, Endpoint] = {}
    for event in told(session, asked, "serving.routing-changed"):
        name, now = event.data["endpoint"], event.data["now"]
        if now is None:
            found.pop(name, None)
            continue
        found[name] = Endpoint(
            routing=msgspec.convert(now, Routing), revision=event.data["revision"], changed_at=event.at,
            changed_by=event.actor.id,
        )  # fmt: skip
    if asked.name:
        if asked.name not in found:
            raise NoEndpoint(f"there was no endpoint {asked.name[:100]!r} at {asked.at}", where="serving")
        return found[asked.name]
    return [found[name] for name in sorted(found)]


def tokens(session: Session, asked: Asked) -> Any:
    """Tokens that had been issued; one that was revoked later was not yet."""
    assert asked.at is not None
    found: list[Token] = [
        token if token.revoked_at is None or token.revoked_at <= asked.at
        else msgspec.structs.replace(token, revoked_at=None)
        for token in session.ask(list_tokens)
        if token.created_at <= asked.at and asked.name in ("", token.name, token.id)
    ]  # fmt: skip
    if asked.name and not found:
        raise _not_yet("tokens", asked)
    return found


def told(session: Session, asked: Asked, *types: str) -> Iterator[Recorded]:
    """Yield every event of some types up to the moment that is asked for, oldest first."""
    assert asked.at is not None
    after = None
    while True:
        page = session.ask(events, type=types, until=just_after(asked.at), after=after, limit=_PAGE, order="oldest")
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].position


def _view(session: Session, name: str, version: int, online: dict[str, str], asked: Asked) -> RegisteredView:
    assert asked.at is not None
    view = session.ask(get_view, name, version=version)
    later = [
        event
        for event in session.ask(
            events, type="features.view-described", since=just_after(asked.at), subject=("view", name)
        )
        if event.data["view_version"] == version
    ]
    if later:
        raise NotFound(
            f"what {name}@{version} was called and whose it was at {asked.at:%Y-%m-%d %H:%M:%S} is not kept",
            where="trimtab get views",
            why=f"It was described anew at {later[0].at:%Y-%m-%d %H:%M:%S}, in place of what stood there before.",
            next="trimtab get events --type features.",
        )
    filled = online.get(view.digest)
    return msgspec.structs.replace(view, materialised_at=datetime.fromisoformat(filled) if filled else None)


def _aliases(session: Session, asked: Asked) -> dict[str, dict[str, int]]:
    """Return the aliases of each model, by name, from the events that moved them."""
    found: dict[str, dict[str, int]] = {}
    for event in told(session, asked, "registry.alias-moved"):
        named = found.setdefault(event.data["model"], {})
        if event.data["now"] is None:
            named.pop(event.data["alias"], None)
        else:
            named[event.data["alias"]] = event.data["now"]
    return {model: dict(sorted(named.items())) for model, named in found.items()}


def _with_status(session: Session, asked: Asked, found: Sequence[Version]) -> list[Version]:
    status = {
        (event.data["model"], event.data["number"]): _STATUS[event.type] for event in told(session, asked, *_STATUS)
    }
    return [
        msgspec.structs.replace(version, status=status.get((version.model, version.number), Status.CANDIDATE))
        for version in found
    ]


def _paged(page: Callable[[str | None], Any], asked: Asked, when: Callable[[Any], datetime]) -> list[Any]:
    """Return the first items of a listing, newest first, that were there at the moment that is asked for."""
    assert asked.at is not None
    found: list[Any] = []
    cursor = None
    while True:
        got = page(cursor)
        found += [item for item in got.items if when(item) <= asked.at]
        cursor = got.next
        if cursor is None or len(found) >= asked.limit:
            return found[: asked.limit]


def then(item: T, when: Callable[[T], datetime], *, noun: str, asked: Asked) -> T:
    """Return the item if it was there at the moment that is asked for. Raises ``NotFound``."""
    assert asked.at is not None
    if when(item) > asked.at:
        raise _not_yet(noun, asked)
    return item


def _not_yet(noun: str, asked: Asked) -> NotFound:
    return missing(noun, asked.name, why=f"Nothing of this name was there at {asked.at:%Y-%m-%d %H:%M:%S}.")
