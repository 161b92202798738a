"""What stands in the database on Trimtab's tables, or in their place, and is not Trimtab's.

Trimtab makes tables and orders of rows, and nothing that acts by itself. Whoever adds a trigger, a rule, a view or an
operator lets the database do something else than it is told; what gives power is held against the ledger all the same.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from trimtab.store.database import metadata
from trimtab.store.governed import GOVERNED

_ON_SQLITE = "SELECT type, name, tbl_name FROM sqlite_master WHERE type IN ('trigger', 'view') ORDER BY type, name"
_OURS = "relnamespace = current_schema()::regnamespace AND relname = ANY(CAST(:tables AS text[]))"
_ON_POSTGRES = {
    "trigger": f"""
        SELECT tgname, relname FROM pg_trigger JOIN pg_class c ON c.oid = tgrelid
        WHERE NOT tgisinternal AND {_OURS}
        ORDER BY tgname, relname
    """,  # noqa: S608
    "rule": f"""
        SELECT rulename, relname FROM pg_rewrite JOIN pg_class c ON c.oid = ev_class
        WHERE rulename <> '_RETURN' AND {_OURS}
        ORDER BY rulename, relname
    """,  # noqa: S608
    "row security": f"""
        SELECT relname, relname FROM pg_class
        WHERE relrowsecurity AND {_OURS}
        ORDER BY relname
    """,  # noqa: S608
    "view": """
        SELECT relname, relname FROM unnest(CAST(:tables AS text[])) AS named JOIN pg_class c
            ON c.oid = to_regclass(quote_ident(named))
        WHERE relkind <> 'r' OR relnamespace <> current_schema()::regnamespace ORDER BY relname
    """,
    "operator": """
        SELECT oprname, oprleft::regtype || ' and ' || oprright::regtype
        FROM pg_operator o JOIN pg_namespace n ON n.oid = oprnamespace WHERE nspname = ANY(current_schemas(false))
            AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = o.oid AND deptype = 'e') ORDER BY 1
    """,
}
"""By kind: a query for names, and for what each stands on. Operators of an extension are left out."""


def foreign_objects(connection: Connection) -> tuple[str, ...]:
    """Name each trigger, rule, view, policy and operator that is not Trimtab's, in words, in an order of their own."""
    tables = sorted({*metadata.tables, *GOVERNED})
    if connection.dialect.name == "sqlite":
        return _in_sqlite(connection, tables)
    found = []
    for kind, query in _ON_POSTGRES.items():
        given = {"tables": tables} if ":tables" in query else {}
        for name, on in connection.execute(text(query), given):
            found.append(_named(kind, name, on))
    return tuple(found)


def _in_sqlite(connection: Connection, tables: Sequence[str]) -> tuple[str, ...]:
    found = connection.execute(text(_ON_SQLITE)).all()
    return tuple(_named(kind, name, on) for kind, name, on in found if on in tables)


def _named(kind: str, name: str, on: str) -> str:
    """Say which object is meant; one in a table's place, or a mark of the table itself, has the table's name."""
    return f"the {kind} {name}" if name == on else f"the {kind} {name} on {on}"
