"""Feature views."""

from typing import Any

from trimtab.cli.nouns import past
from trimtab.cli.nouns.noun import Asked, Noun
from trimtab.cli.output import Column
from trimtab.cli.session import Session
from trimtab.features import RegisteredView, compile_view, get_view, list_views
from trimtab.kernel import Invalid


def _find(session: Session, asked: Asked) -> Any:
    if not asked.name:
        return list(session.ask(list_views, limit=asked.limit))
    name, at, version = asked.name.partition("@")
    if at and not (version.isascii() and version.isdigit() and len(version) < 10):
        raise Invalid(
            f"{asked.name[:100]!r} names no version of a view",
            where="trimtab get views",
            why="The versions of a view are whole numbers.",
            next=f"trimtab get views {name[:100]}",
        )
    return session.ask(get_view, name, version=int(version) if at else None)


def _facts(view: RegisteredView) -> list[tuple[str, Any]]:
    compiled = compile_view(view.spec)
    return [
        ("view", f"{view.name}, version {view.version}"), ("of", view.of), ("owner", view.owner or "-"),
        ("description", view.description or "-"), ("digest", view.digest), ("registered", view.registered_at),
        ("online up to", view.materialised_at),
        ("columns", "\n".join(f"{column.name} ({column.kind})" for column in compiled.columns)),
        ("request", ", ".join(compiled.request_fields)),
    ]  # fmt: skip


_VIEWS = Noun(
    find=_find,
    columns=[
        Column("VIEW", lambda v: v.name), Column("VERSION", lambda v: v.version, number=True),
        Column("OF", lambda v: v.of), Column("COLUMNS", lambda v: len(v.columns), number=True),
        Column("OWNER", lambda v: v.owner or None), Column("ONLINE UP TO", lambda v: v.materialised_at),
        Column("DIGEST", lambda v: v.digest, brief=True),
    ],
    empty="No feature view yet. Declare one and apply it:\n  trimtab init\n  trimtab apply",
    facts=_facts,
    past=past.views,
)  # fmt: skip

NOUNS = {"views": _VIEWS, "features": _VIEWS}
