-- The roles of docker-compose.yml, after the tables. The passwords come from the environment: in arguments, every
-- user of the machine could read them. Needs psql 14 or later, for \getenv.
\getenv password OUTBOX_CONNECTOR_PASSWORD
\ir connector-role.sql
\ir application-role.sql
\ir maintainer-role.sql
\getenv password ORDER_SERVICE_PASSWORD
\ir order-service-role.sql
