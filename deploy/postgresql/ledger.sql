-- The ledger is written to and never rewritten: what has its place in it, the servers' role can neither change nor remove.
-- Once the tables are there:
--   psql --dbname trimtab --file ledger.sql
\set ON_ERROR_STOP on
REVOKE UPDATE, DELETE ON trimtab.ledger_events, trimtab.ledger_subjects FROM trimtab;
REVOKE INSERT, UPDATE, DELETE ON trimtab.alembic_version FROM trimtab;
