DO 'BEGIN IF to_regnamespace(''"outbox"'') IS NULL THEN CREATE SCHEMA "outbox"; END IF; END';
CREATE TABLE IF NOT EXISTS "outbox"."outbox_message_lease" (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    holder text NOT NULL,
    until timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS "outbox"."outbox_message_detached" (
    partition text PRIMARY KEY,
    wal_position pg_lsn,
    detached_at timestamptz
);
