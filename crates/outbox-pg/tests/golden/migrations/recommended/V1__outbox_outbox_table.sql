DO 'BEGIN IF to_regnamespace(''"outbox"'') IS NULL THEN CREATE SCHEMA "outbox"; END IF; END';
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
