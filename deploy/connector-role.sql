-- The role that the connector logs in with, and all that it may do.
-- psql -v ON_ERROR_STOP=1 -d DATABASE -f connector-role.sql
-- Run it as a superuser, or from PostgreSQL 16 on as a role with CREATEROLE and REPLICATION.
SELECT 'CREATE ROLE "outbox_connector"'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'outbox_connector') \gexec
ALTER ROLE "outbox_connector" LOGIN REPLICATION;
\if :{?password}
ALTER ROLE "outbox_connector" PASSWORD :'password';
\else
\password "outbox_connector"
\endif
SELECT format('GRANT CONNECT ON DATABASE %I TO "outbox_connector"', current_database()) \gexec
GRANT USAGE ON SCHEMA "outbox" TO "outbox_connector";
GRANT SELECT ON TABLE "outbox"."outbox_message" TO "outbox_connector";
