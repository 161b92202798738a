-- Three roles and a schema, in the database that Trimtab is to use. As its superuser:
--   psql --dbname trimtab --file roles.sql
-- The passwords come from the environment: OWNER_PASSWORD, SERVER_PASSWORD and READER_PASSWORD.
\set ON_ERROR_STOP on
\getenv owner OWNER_PASSWORD
\getenv server SERVER_PASSWORD
\getenv reader READER_PASSWORD

-- Makes and changes tables: used once for each version of Trimtab, by whoever brings the schema up to date.
CREATE ROLE trimtab_owner LOGIN PASSWORD :'owner' CONNECTION LIMIT 4;
-- What the servers are: rows, no tables.
CREATE ROLE trimtab LOGIN PASSWORD :'server' CONNECTION LIMIT 80;
-- What plans and looks on: no change at all.
CREATE ROLE trimtab_reader LOGIN PASSWORD :'reader' CONNECTION LIMIT 16;

REVOKE ALL ON DATABASE trimtab FROM PUBLIC;
GRANT CONNECT ON DATABASE trimtab TO trimtab_owner, trimtab, trimtab_reader;

CREATE SCHEMA trimtab AUTHORIZATION trimtab_owner;
GRANT USAGE ON SCHEMA trimtab TO trimtab, trimtab_reader;
ALTER ROLE trimtab_owner IN DATABASE trimtab SET search_path = trimtab;
ALTER ROLE trimtab IN DATABASE trimtab SET search_path = trimtab;
ALTER ROLE trimtab_reader IN DATABASE trimtab SET search_path = trimtab;

-- Tables of later versions, too.
ALTER DEFAULT PRIVILEGES FOR ROLE trimtab_owner IN SCHEMA trimtab
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO trimtab;
ALTER DEFAULT PRIVILEGES FOR ROLE trimtab_owner IN SCHEMA trimtab GRANT USAGE ON SEQUENCES TO trimtab;
ALTER DEFAULT PRIVILEGES FOR ROLE trimtab_owner IN SCHEMA trimtab GRANT SELECT ON TABLES TO trimtab_reader;
