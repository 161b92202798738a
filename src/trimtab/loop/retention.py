"""What the loop needs kept, which endpoints are governed, and what a hold on a model or a run keeps."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from trimtab.declare import ModelSpec, ProjectSpec
from trimtab.loop.declarations import specs_in_force
from trimtab.loop.governed import policy_of
from trimtab.loop.records import Proposal, Turn
from trimtab.loop.tables import proposals, turns
from trimtab.pipelines import is_pipeline_run, named_by_run
from trimtab.registry import asks_for_approval, has_model
from trimtab.serving import models_at
from trimtab.store import Store, all_rows
from trimtab.tracking import is_tracked_run


def needed_by_turns(connection: Connection) -> Iterator[str]:
    """Yield what the open turns and the newest turn of each model have run, with what these runs name.

    Raises ``RowForged`` unless the turns are what the ledger says: none may be missing.
    """
    rows = all_rows(connection, turns)
    newest = {row["model"]: row["id"] for row in rows}
    for row in rows:
        turn = msgspec.json.decode(row["turn"], type=Turn)
        if turn.run is not None and (turn.state.is_open or newest[turn.model] == turn.id):
            yield from named_by_run(connection, turn.run)


def used_from(connection: Connection) -> Mapping[str, datetime]:
    """Return, for each endpoint at which a version is rolled out, since when its decisions count for that.

    Raises ``RowForged`` unless the turns are what the ledger says.
    """
    found = (msgspec.json.decode(row["turn"], type=Turn) for row in all_rows(connection, turns))
    return {turn.model: turn.opened_at for turn in found if turn.state.rolls_out}


def is_governed(store: Store) -> Callable[[Connection], Callable[[str], bool]]:
    """Return what tells of an endpoint whether its decisions are those of a governed model.

    It is so when any model that was ever routed there, or has its name, is or was one that asks for an approval: by the
    policy in force, by one that was proposed or replaced, or by the policy of any version. Raises ``RowForged`` unless
    these are what the ledger says.
    """

    def of(connection: Connection) -> Callable[[str], bool]:
        governed = asks_for_approval(connection)
        declared = (model for spec in specs_in_force(connection).values() for model in spec.models)
        governed |= {model.name for model in declared if policy_of(model).is_governed}
        for row in all_rows(connection, proposals):
            found = msgspec.json.decode(row["proposal"], type=Proposal)
            governed |= {found.model} if found.policy.is_governed or found.replaces.is_governed else set()
        routed = models_at(store)
        return lambda endpoint: not governed.isdisjoint({endpoint, *routed.get(endpoint, ())})

    return of


def held_with(store: Store) -> Callable[[Connection, str], Iterator[str]]:
    """Return what tells which names a hold on something keeps besides its own."""

    def of(connection: Connection, subject: str) -> Iterator[str]:
        kind, _, name = subject.partition(":")
        if kind == "run":
            yield from named_by_run(connection, name)
        elif kind == "model":
            yield from (f"endpoint:{endpoint}" for endpoint, models in models_at(store).items() if name in models)
            yield from (f"endpoint:{name}", f"experiment:{name}")
            yield from _data_of(connection, name)

    return of


def is_known(store: Store, connection: Connection, subject: str) -> bool:
    """Say whether there is, or was, what a hold is to be made on: ``endpoint:``, ``model:``, ``run:`` or ``all``."""
    kind, _, name = subject.partition(":")
    if kind == "run":
        return is_tracked_run(connection, name) or is_pipeline_run(connection, name)
    if kind == "endpoint":
        return name in models_at(store)
    if kind == "model":
        return has_model(connection, name) or bool(_declared(connection, name))
    return subject == "all"


def _data_of(connection: Connection, name: str) -> Iterator[str]:
    """Yield the sources that a model is learnt from; all snapshots when nobody declares the model any more."""
    declared = _declared(connection, name)
    if not declared:
        yield "class:snapshots"
    for spec, model in declared:
        for contract in model.view.contracts:
            source = spec.source_of(contract.name)
            yield f"source:{source.name}" if source is not None else "class:snapshots"


def _declared(connection: Connection, name: str) -> list[tuple[ProjectSpec, ModelSpec]]:
    specs = specs_in_force(connection).values()
    return [(spec, model) for spec in specs for model in spec.models if model.name == name]
