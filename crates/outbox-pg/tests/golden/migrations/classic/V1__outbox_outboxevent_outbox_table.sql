DO 'BEGIN IF to_regnamespace(''"public"'') IS NULL THEN CREATE SCHEMA "public"; END IF; END';
CREATE TABLE IF NOT EXISTS "public"."outboxevent" (
    "id" uuid NOT NULL PRIMARY KEY,
    "aggregatetype" varchar(255) NOT NULL,
    "aggregateid" varchar(255) NOT NULL,
    "type" varchar(255) NOT NULL,
    "payload" jsonb
);
