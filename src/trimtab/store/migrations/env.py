"""Alembic's entry point: run the migrations on the connection that ``trimtab.store.migrate`` has opened."""

from alembic import context

from trimtab.store.database import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # SQLite's own begin and commit are used, which cover its DDL
)
with context.begin_transaction():
    context.run_migrations()
