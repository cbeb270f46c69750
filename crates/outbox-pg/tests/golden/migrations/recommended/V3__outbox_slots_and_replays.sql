CREATE TABLE IF NOT EXISTS "outbox"."outbox_message_slots" (
    slot text NOT NULL,
    incarnation integer NOT NULL,
    cluster text NOT NULL DEFAULT (pg_control_system()).system_identifier::text,
    created_at timestamptz,
    created_xid xid8,
    ended_at timestamptz,
    confirmed_xid xid8,
    sampled_xid xid8,
    sampled_position pg_lsn,
    released_at timestamptz,
    PRIMARY KEY (slot, incarnation)
);
CREATE TABLE IF NOT EXISTS "outbox"."outbox_message_replays" (
    name text PRIMARY KEY,
    selection text NOT NULL,
    before_xid xid8 NOT NULL,
    last_id uuid,
    events bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz
);
