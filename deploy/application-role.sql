-- The role that services enqueue with, and all that it may do. GRANT "outbox_application" TO the service's login.
DO 'BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = ''outbox_application'') THEN CREATE ROLE "outbox_application" NOLOGIN; END IF; END';
GRANT USAGE ON SCHEMA "outbox" TO "outbox_application";
DO 'BEGIN REVOKE ALL ON TABLE "outbox"."outbox_message" FROM PUBLIC, "outbox_application"; GRANT INSERT ON TABLE "outbox"."outbox_message" TO "outbox_application"; END';
