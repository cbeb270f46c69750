DROP TRIGGER IF EXISTS outbox_vanish ON "outbox"."outbox_message";
DROP TRIGGER IF EXISTS outbox_remember ON "outbox"."outbox_message";
CREATE OR REPLACE FUNCTION "outbox"."outbox_message_vanish"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
    AS 'BEGIN DELETE FROM "outbox"."outbox_message" WHERE ctid = NEW.ctid AND "id" = NEW."id"; RETURN NULL; END';
REVOKE ALL ON FUNCTION "outbox"."outbox_message_vanish"() FROM PUBLIC;
CREATE TRIGGER outbox_vanish AFTER INSERT ON "outbox"."outbox_message" FOR EACH ROW EXECUTE FUNCTION "outbox"."outbox_message_vanish"();
ALTER TABLE "outbox"."outbox_message" SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
CREATE TABLE IF NOT EXISTS "outbox"."outbox_message_ids" (id uuid PRIMARY KEY);
CREATE OR REPLACE FUNCTION "outbox"."outbox_message_remember"() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS 'BEGIN INSERT INTO "outbox"."outbox_message_ids" (id) VALUES (NEW."id") ON CONFLICT DO NOTHING; IF FOUND THEN RETURN NEW; END IF; RETURN NULL; END';
REVOKE ALL ON FUNCTION "outbox"."outbox_message_remember"() FROM PUBLIC;
CREATE TRIGGER outbox_remember BEFORE INSERT ON "outbox"."outbox_message" FOR EACH ROW EXECUTE FUNCTION "outbox"."outbox_message_remember"();
