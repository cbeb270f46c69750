//! The consumer's tables. `setup.rs` checks at startup that a database has each of their columns, and
//! `docs/reference/tables.md` lists the tables.

use outbox_core::Identifier;
use outbox_pg::{Migration, Migrations};

/// The version of the tables that this program needs: that of the last step of [`migrations`]. A step never changes
/// after its release.
pub const VERSION: i32 = 6;

/// Returns the tables of a consumer, in the schema that [`Builder::schema`](crate::Builder::schema) names. Every group
/// has its rows in them.
///
/// | table | a row for each |
/// |---|---|
/// | `consumer_member` | consumer that runs |
/// | `consumer_lease` | partition: who reads it, until when |
/// | `consumer_position` | partition: the offset that is read next, the epoch of its owner |
/// | `consumer_inbox` | event that was taken: handled, parked or dead |
/// | `consumer_held` | event that waits for another attempt or behind one that does, and dead letter |
/// | `consumer_subscription` | topic: how many partitions it had when the group first looked for it |
/// | `consumer_request` | retry or discard that was asked for, and its outcome |
/// | `consumer_pause` | group, topic or event type that is paused |
#[must_use]
pub fn migrations(schema: &Identifier) -> Migrations {
    let leases = format!(
        "CREATE TABLE {schema}.consumer_member (
            consumer_group text NOT NULL,
            owner uuid NOT NULL,
            topics text[] NOT NULL,
            expires_at timestamptz NOT NULL,
            PRIMARY KEY (consumer_group, owner)
        );
        CREATE TABLE {schema}.consumer_lease (
            consumer_group text NOT NULL,
            topic text NOT NULL,
            partition integer NOT NULL,
            owner uuid,
            expires_at timestamptz NOT NULL,
            PRIMARY KEY (consumer_group, topic, partition)
        ) WITH (fillfactor = 50);
        CREATE TABLE {schema}.consumer_position (
            id bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
            consumer_group text NOT NULL,
            topic text NOT NULL,
            partition integer NOT NULL,
            topic_id uuid,
            next_offset bigint NOT NULL CHECK (next_offset >= 0),
            epoch bigint NOT NULL DEFAULT 0,
            horizon bigint NOT NULL DEFAULT 0,
            careful_until bigint NOT NULL DEFAULT 0,
            alone_offset bigint,
            alone_starts integer NOT NULL DEFAULT 0,
            stopped_because text,
            updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (consumer_group, topic, partition)
        ) WITH (fillfactor = 50)"
    );

    let events = format!(
        "CREATE TABLE {schema}.consumer_inbox (
            consumer_group text NOT NULL,
            event_id uuid NOT NULL,
            state text NOT NULL CHECK (state IN ('handled', 'parked', 'dead')),
            position_id bigint NOT NULL,
            record_offset bigint NOT NULL,
            handled_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            PRIMARY KEY (consumer_group, event_id)
        );
        CREATE INDEX consumer_inbox_handled_at ON {schema}.consumer_inbox USING brin (handled_at);
        CREATE TABLE {schema}.consumer_held (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            consumer_group text NOT NULL,
            topic text NOT NULL,
            partition integer NOT NULL,
            record_offset bigint NOT NULL,
            event_id uuid,
            state text NOT NULL CHECK (state IN ('parked', 'dead')),
            blocks boolean NOT NULL,
            key_digest bytea,
            record_key bytea,
            record_value bytea,
            header_names text[] NOT NULL,
            header_values bytea[] NOT NULL,
            record_timestamp bigint,
            attempts integer NOT NULL,
            started boolean NOT NULL DEFAULT false,
            kind text NOT NULL,
            error text NOT NULL,
            first_failed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            last_failed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            next_attempt_at timestamptz,
            UNIQUE (consumer_group, topic, partition, record_offset)
        );
        CREATE INDEX consumer_held_blocked ON {schema}.consumer_held (consumer_group, topic, key_digest, id) WHERE blocks;
        CREATE INDEX consumer_held_due ON {schema}.consumer_held (consumer_group, topic, partition, next_attempt_at)
            WHERE next_attempt_at IS NOT NULL;
        CREATE TABLE {schema}.consumer_request (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            consumer_group text NOT NULL,
            topic text NOT NULL,
            partition integer NOT NULL,
            held_id bigint NOT NULL,
            action text NOT NULL CHECK (action IN ('retry', 'discard')),
            requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            done_at timestamptz
        );
        CREATE INDEX consumer_request_open ON {schema}.consumer_request (consumer_group, topic, partition)
            WHERE done_at IS NULL"
    );

    let starters = format!(
        "ALTER TABLE {schema}.consumer_position
            ADD COLUMN alone_starters uuid[] NOT NULL DEFAULT '{{}}', DROP COLUMN alone_starts"
    );

    let lives_of_a_topic = format!(
        "ALTER TABLE {schema}.consumer_held
            DROP CONSTRAINT consumer_held_consumer_group_topic_partition_record_offset_key;
        CREATE INDEX consumer_held_record ON {schema}.consumer_held (consumer_group, topic, partition, record_offset)"
    );

    let subscriptions = format!(
        "ALTER TABLE {schema}.consumer_member ADD COLUMN handles text[] NOT NULL DEFAULT '{{}}';
        CREATE TABLE {schema}.consumer_subscription (
            consumer_group text NOT NULL,
            topic text NOT NULL,
            first_partitions integer NOT NULL,
            PRIMARY KEY (consumer_group, topic)
        )"
    );

    let retention = format!(
        "CREATE INDEX IF NOT EXISTS consumer_inbox_retention ON {schema}.consumer_inbox (consumer_group, handled_at)
            WHERE state = 'handled';
        DROP INDEX IF EXISTS {schema}.consumer_inbox_handled_at;
        CREATE INDEX consumer_held_started ON {schema}.consumer_held (consumer_group, topic, partition) WHERE started;
        CREATE INDEX consumer_held_listed ON {schema}.consumer_held (consumer_group, state, id);
        CREATE INDEX consumer_held_dead ON {schema}.consumer_held (consumer_group, last_failed_at) WHERE state = 'dead';
        ALTER TABLE {schema}.consumer_held ADD COLUMN event_type text;
        ALTER TABLE {schema}.consumer_position ADD COLUMN end_offset bigint;
        ALTER TABLE {schema}.consumer_request ADD COLUMN outcome text;
        DROP INDEX {schema}.consumer_request_open;
        CREATE INDEX consumer_request_open ON {schema}.consumer_request (consumer_group, topic, partition, id)
            WHERE done_at IS NULL;
        CREATE INDEX consumer_request_done ON {schema}.consumer_request (consumer_group, done_at) WHERE done_at IS NOT NULL;
        CREATE INDEX consumer_request_held ON {schema}.consumer_request (held_id) WHERE done_at IS NULL;
        CREATE TABLE {schema}.consumer_pause (
            consumer_group text NOT NULL,
            topic text NOT NULL DEFAULT '',
            event_type text NOT NULL DEFAULT '',
            reason text NOT NULL DEFAULT '',
            paused_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            until timestamptz,
            PRIMARY KEY (consumer_group, topic, event_type)
        )"
    );
    let steps = vec![
        Migration::new(1, "leases and positions", leases),
        Migration::new(2, "events", events),
        Migration::new(3, "who handled an event alone", starters),
        Migration::new(4, "held events of a topic that was created again", lives_of_a_topic),
        Migration::new(5, "what members handle, and where a group begins", subscriptions),
        Migration::new(6, "retention, pauses and outcomes", retention),
    ];
    Migrations::new("consumer", schema.clone(), steps)
}
