DO 'BEGIN IF to_regnamespace(''"outbox"'') IS NULL THEN CREATE SCHEMA "outbox"; END IF; END';
DO 'DECLARE item record; BEGIN FOR item IN EXECUTE ''WITH trusted AS (SELECT oid FROM pg_roles WHERE rolsuper
     UNION SELECT nspowner FROM pg_namespace WHERE oid = to_regnamespace($1)
     UNION SELECT relowner FROM pg_class WHERE oid = to_regclass($2) UNION SELECT oid FROM pg_roles WHERE rolname = current_user AND to_regclass($2) IS NULL),
             companion AS (SELECT oid, relowner FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relname = ANY ($3))
         SELECT format(''''the table %s'''', oid::regclass) AS object, pg_get_userbyid(relowner)::text AS owner
         FROM companion WHERE relowner NOT IN (SELECT oid FROM trusted)
         UNION ALL
         SELECT format(''''the function %s'''', oid::regprocedure), pg_get_userbyid(proowner)::text
         FROM pg_proc WHERE pronamespace = to_regnamespace($1) AND proname = ANY ($4) AND pronargs = 0
             AND proowner NOT IN (SELECT oid FROM trusted)
         UNION ALL
         SELECT format(''''the trigger %I on %s'''', tgname, tgrelid::regclass), pg_get_userbyid(proowner)::text
         FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
         WHERE NOT tgisinternal AND (tgrelid = to_regclass($2) OR tgrelid IN (SELECT oid FROM companion)
                 OR tgrelid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = to_regclass($2)))
             AND proowner NOT IN (SELECT oid FROM trusted)
         UNION ALL
         SELECT format(''''the table %s'''', oid::regclass), pg_get_userbyid(relowner)::text
         FROM pg_class WHERE oid IN (to_regclass($2), to_regclass($5)) AND NOT pg_has_role(relowner, ''''MEMBER'''')
             AND relowner NOT IN (SELECT oid FROM pg_roles WHERE rolsuper
                 UNION SELECT nspowner FROM pg_namespace WHERE oid = to_regnamespace($1))''
             USING ''"outbox"''::text, ''"outbox"."outbox_message"''::text, ARRAY[''outbox_message_lease'', ''outbox_message_detached'', ''outbox_message_ids'', ''outbox_message_slots'', ''outbox_message_replays'']::text[], ARRAY[''outbox_message_vanish'', ''outbox_message_remember'']::text[], ''"outbox".schema_migration''::text
         LOOP
             RAISE EXCEPTION ''% belongs to %, who is not the owner of the outbox table, or of whom this role is no member: drop it, or give it to the owner of the table, and run this as the owner'', item.object, item.owner;
         END LOOP; END';
CREATE TABLE IF NOT EXISTS "outbox"."outbox_message" (
    "id" uuid NOT NULL PRIMARY KEY,
    "aggregate_type" text NOT NULL,
    "aggregate_id" text NOT NULL,
    "event_type" text NOT NULL,
    "payload" json,
    "created_at" timestamp(6) NOT NULL DEFAULT timezone('utc', clock_timestamp()),
    "schema_version" integer NOT NULL DEFAULT 1,
    "content_type" text NOT NULL DEFAULT '',
    "traceparent" text NOT NULL DEFAULT '',
    "correlation_id" text NOT NULL DEFAULT '',
    "causation_id" text NOT NULL DEFAULT '',
    "headers" json NOT NULL DEFAULT '{}'
);
