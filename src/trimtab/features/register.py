"""Register a view under its name, with a version for each meaning that it has had."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, select, update

from trimtab.declare import FeatureViewSpec, declaration_digest
from trimtab.features.compile import compile_view
from trimtab.features.events import FeatureViewDescribed, FeatureViewRegistered
from trimtab.features.records import RegisteredView, View
from trimtab.features.tables import features_materialisations, features_views
from trimtab.kernel import NotFound
from trimtab.store import Change, Store


def register_view(change: Change, view: View) -> RegisteredView:
    """Register a view; return its version, a new one only when its meaning changed.

    The same view again changes nothing and records nothing; another owner, description or promise is written to the
    version that stands. Raises what compiling raises.
    """
    compiled = compile_view(view)
    spec = compiled.view
    newest = _newest(change.connection, spec.name)
    if newest is not None and newest.digest == compiled.digest:
        if declaration_digest(msgspec.json.decode(newest.spec, type=FeatureViewSpec)) != declaration_digest(spec):
            _describe(change, newest, spec)
    else:
        version = 1 if newest is None else newest.version + 1
        row = {
            "id": change.new_id(), "name": spec.name, "version": version, "digest": compiled.digest,
            "owner": spec.owner, "description": spec.description, "spec": msgspec.json.encode(spec).decode(),
            "registered_at": change.at.isoformat(), "registered_by": change.actor.id,
        }  # fmt: skip
        change.insert(features_views, row)
        change.record(
            FeatureViewRegistered(
                view=spec.name,
                view_version=version,
                digest=compiled.digest,
                replaced=None if newest is None else newest.digest,
                columns=len(compiled.columns),
            )
        )
    newest = _newest(change.connection, spec.name)
    assert newest is not None
    return _view_of(change.connection, newest)


def get_view(store: Store, name: str, *, version: int | None = None) -> RegisteredView:
    """Return a version of a view, the newest by default; raise ``NotFound``."""
    query = select(features_views).where(features_views.c.name == name).order_by(features_views.c.version.desc())
    if version is not None:
        query = query.where(features_views.c.version == version)
    with store.read() as connection:
        row = connection.execute(query.limit(1)).first()
        if row is None:
            raise NotFound(
                f"there is no feature view {name!r}" + ("" if version is None else f" in version {version}"),
                where="features",
                why="Views are registered when a project is applied.",
                next="trimtab get features",
            )
        return _view_of(connection, row)


def list_views(store: Store, *, after: str = "", limit: int | None = 100) -> Sequence[RegisteredView]:
    """Return the newest version of each view, by name, beginning after a name; ``limit`` None: all of them."""
    newest = (
        select(features_views.c.name, func.max(features_views.c.version).label("version"))
        .where(features_views.c.name > after)
        .group_by(features_views.c.name)
        .subquery()
    )
    query = (
        select(features_views)
        .join(newest, (features_views.c.name == newest.c.name) & (features_views.c.version == newest.c.version))
        .order_by(features_views.c.name)
        .limit(limit)
    )
    with store.read() as connection:
        return [_view_of(connection, row) for row in connection.execute(query).all()]


def _describe(change: Change, row: Row[Any], spec: FeatureViewSpec) -> None:
    change.execute(
        update(features_views)
        .where(features_views.c.id == row.id)
        .values(owner=spec.owner, description=spec.description, spec=msgspec.json.encode(spec).decode())
    )
    change.record(FeatureViewDescribed(view=spec.name, view_version=row.version, digest=row.digest, owner=spec.owner))


def _newest(connection: Connection, name: str) -> Row[Any] | None:
    return connection.execute(
        select(features_views).where(features_views.c.name == name).order_by(features_views.c.version.desc()).limit(1)
    ).first()


def _view_of(connection: Connection, row: Row[Any]) -> RegisteredView:
    spec = msgspec.json.decode(row.spec, type=FeatureViewSpec)
    now = connection.execute(
        select(func.max(features_materialisations.c.now)).where(features_materialisations.c.digest == row.digest)
    ).scalar()
    return RegisteredView(
        id=row.id,
        name=row.name,
        version=row.version,
        digest=row.digest,
        of=spec.of.name,
        columns=compile_view(spec).names,
        owner=row.owner,
        description=row.description,
        spec=spec,
        registered_at=datetime.fromisoformat(row.registered_at),
        registered_by=row.registered_by,
        materialised_at=None if now is None else datetime.fromisoformat(now),
    )
