-- The role that the example service logs in with. roles.sql sets the variable `password`.
SELECT 'CREATE ROLE order_service_login'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'order_service_login') \gexec
ALTER ROLE order_service_login LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD :'password';

-- Enqueues: the role of application-role.sql.
GRANT outbox_application TO order_service_login;
-- Removes old rows: the role of maintainer-role.sql, which owns the outbox table. In production, run the maintenance
-- with another login, so that the service cannot change the table.
GRANT outbox_maintainer TO order_service_login;
-- Reports the health of the slot and the age of the oldest row: /health/pipeline and /metrics.
GRANT pg_monitor TO order_service_login;
GRANT SELECT ON TABLE outbox.outbox_message TO order_service_login;
-- Consumes.
SELECT format('GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE %s TO order_service_login', oid::regclass)
FROM pg_class
WHERE relnamespace = 'outbox'::regnamespace AND relkind IN ('r', 'p') AND relname LIKE 'consumer\_%' \gexec
SELECT format('GRANT USAGE ON SEQUENCE %s TO order_service_login', oid::regclass)
FROM pg_class
WHERE relnamespace = 'outbox'::regnamespace AND relkind = 'S' AND relname LIKE 'consumer\_%' \gexec
GRANT SELECT ON TABLE outbox.schema_migration TO order_service_login;
-- Its own tables.
GRANT USAGE ON SCHEMA order_service TO order_service_login;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA order_service TO order_service_login;
