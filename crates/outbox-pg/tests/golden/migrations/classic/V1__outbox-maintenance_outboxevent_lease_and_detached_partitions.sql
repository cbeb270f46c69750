DO 'BEGIN IF to_regnamespace(''"public"'') IS NULL THEN CREATE SCHEMA "public"; END IF; END';
CREATE TABLE IF NOT EXISTS "public"."outboxevent_lease" (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    holder text NOT NULL,
    until timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS "public"."outboxevent_detached" (
    partition text PRIMARY KEY,
    wal_position pg_lsn,
    detached_at timestamptz
);
