use deadpool_postgres::tokio_postgres::types::{ToSql, Type};
use outbox_core::Identifier;

use super::operator_sql::{
    EXPIRE_DEAD, FORGET, FORGET_MEMBERS, FORGET_PAUSES, FORGET_REQUESTS, MAY_PURGE, PAUSE, PAUSES, REMOVE_EVENTS,
    REMOVE_GROUP, REQUEST_OF, RESUME, STATUS,
};

/// A statement with the types of its parameters, so that it needs no round trip to be described.
pub(super) struct Sql {
    pub(super) text: String,
    pub(super) types: Vec<Type>,
}

impl Sql {
    /// Returns parameters with their types.
    pub(super) fn typed<'a>(&self, params: &[&'a (dyn ToSql + Sync)]) -> Vec<(&'a (dyn ToSql + Sync), Type)> {
        params.iter().copied().zip(self.types.iter().cloned()).collect()
    }
}

macro_rules! statements {
    ($($name:ident,)*) => {
        /// All statements, with the schema's name in them. `$1` is the group throughout, unless a row's id is enough.
        pub(super) struct Statements {
            $(pub(super) $name: Sql,)*
        }

        impl Statements {
            /// Returns each statement with its name.
            #[cfg(test)]
            pub(super) fn all(&self) -> Vec<(&'static str, &Sql)> {
                vec![$((stringify!($name), &self.$name),)*]
            }
        }
    };
}

statements! {
    be_member,
    renew,
    add_seats,
    members,
    seats,
    subscribe,
    first_partitions,
    forget_partitions,
    claim,
    give_back,
    leave,
    position,
    begin_position,
    take,
    advance,
    read_fence,
    lock_fence,
    restore,
    lock_partition,
    end_backends,
    start_alone,
    not_alone,
    set_stopped,
    reset_position,
    move_position,
    horizon,
    take_in,
    blocked,
    set_state,
    known,
    hold,
    held,
    start_attempt,
    hold_again,
    revive,
    postpone,
    undo_attempts,
    release,
    lock_last,
    release_next,
    free_heads,
    due,
    done,
    request,
    show,
    pause,
    resume,
    pauses,
    forget_pauses,
    status,
    request_of,
    remove_group,
    remove_events,
    may_purge,
    forget,
    forget_requests,
    forget_members,
    expire_dead,
}

impl Statements {
    #[expect(clippy::too_many_lines, reason = "one statement after the other")]
    pub(super) fn new(schema: &Identifier) -> Self {
        let (fence, purge) = (literal(&fence_name(schema)), literal(&format!("{schema}.consumer_inbox")));
        let sql = |text: &str, types: &[Type]| Sql {
            text: text.replace("{s}", &schema.to_string()).replace("{fence}", &fence).replace("{purge}", &purge),
            types: types.to_vec(),
        };
        let place = [Type::TEXT, Type::TEXT, Type::INT4];
        let with = |rest: &[Type]| [&place[..], rest].concat();
        Self {
            be_member: sql(
                "INSERT INTO {s}.consumer_member (consumer_group, owner, topics, expires_at, handles)
                 VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4), $5)
                 ON CONFLICT (consumer_group, owner) DO UPDATE
                 SET topics = excluded.topics, expires_at = excluded.expires_at, handles = excluded.handles",
                &[Type::TEXT, Type::UUID, Type::TEXT_ARRAY, Type::FLOAT8, Type::TEXT_ARRAY],
            ),
            renew: sql(
                "UPDATE {s}.consumer_lease SET expires_at = clock_timestamp() + make_interval(secs => $3)
                 WHERE consumer_group = $1 AND owner = $2 RETURNING topic, partition",
                &[Type::TEXT, Type::UUID, Type::FLOAT8],
            ),
            add_seats: sql(
                "INSERT INTO {s}.consumer_lease (consumer_group, topic, partition, expires_at)
                 SELECT $1, t, p, clock_timestamp() FROM unnest($2::text[], $3::int[]) AS seat (t, p) ORDER BY t, p
                 ON CONFLICT DO NOTHING",
                &[Type::TEXT, Type::TEXT_ARRAY, Type::INT4_ARRAY],
            ),
            members: sql(
                "SELECT owner, topics, handles, expires_at > clock_timestamp() FROM {s}.consumer_member
                 WHERE consumer_group = $1 AND expires_at > clock_timestamp() - interval '1 hour'",
                &[Type::TEXT],
            ),
            seats: sql(
                "SELECT topic, partition, CASE WHEN expires_at > clock_timestamp() THEN owner END FROM {s}.consumer_lease
                 WHERE consumer_group = $1 AND topic = ANY ($2)",
                &[Type::TEXT, Type::TEXT_ARRAY],
            ),
            subscribe: sql(
                "INSERT INTO {s}.consumer_subscription
                 SELECT $1, * FROM unnest($2::text[], $3::int[]) ON CONFLICT DO NOTHING",
                &[Type::TEXT, Type::TEXT_ARRAY, Type::INT4_ARRAY],
            ),
            first_partitions: sql(
                "SELECT first_partitions FROM {s}.consumer_subscription WHERE consumer_group = $1 AND topic = $2",
                &[Type::TEXT, Type::TEXT],
            ),
            forget_partitions: sql(
                "WITH existing (name, partitions) AS (SELECT * FROM unnest($2::text[], $3::int[])),
                 leases AS (
                     DELETE FROM {s}.consumer_lease AS gone USING existing
                     WHERE consumer_group = $1 AND gone.topic = name AND partition >= partitions
                       AND (owner IS NULL OR owner = $4 OR expires_at <= clock_timestamp())),
                 positions AS (
                     DELETE FROM {s}.consumer_position AS gone USING existing
                     WHERE consumer_group = $1 AND gone.topic = name AND partition >= partitions AND partitions > 0),
                 requests AS (
                     UPDATE {s}.consumer_request AS gone SET partition = 0 FROM existing
                     WHERE consumer_group = $1 AND gone.topic = name AND partition >= partitions AND partitions > 0
                       AND done_at IS NULL),
                 subscriptions AS (
                     UPDATE {s}.consumer_subscription AS gone SET first_partitions = least(first_partitions, partitions)
                     FROM existing WHERE consumer_group = $1 AND gone.topic = name)
                 UPDATE {s}.consumer_held AS gone SET partition = 0 FROM existing
                 WHERE consumer_group = $1 AND gone.topic = name AND partition >= partitions AND partitions > 0",
                &[Type::TEXT, Type::TEXT_ARRAY, Type::INT4_ARRAY, Type::UUID],
            ),
            claim: sql(
                "UPDATE {s}.consumer_lease AS lease
                 SET owner = $2, expires_at = clock_timestamp() + make_interval(secs => $3)
                 FROM (SELECT consumer_group, topic, partition, owner FROM {s}.consumer_lease
                       WHERE consumer_group = $1 AND (owner IS NULL OR owner = $2 OR expires_at <= clock_timestamp())
                         AND (topic, partition) IN (SELECT * FROM unnest($4::text[], $5::int[]))
                       FOR UPDATE SKIP LOCKED) AS free
                 WHERE (lease.consumer_group, lease.topic, lease.partition) = (free.consumer_group, free.topic, free.partition)
                 RETURNING lease.topic, lease.partition, free.owner IS NOT NULL AND free.owner <> $2",
                &[Type::TEXT, Type::UUID, Type::FLOAT8, Type::TEXT_ARRAY, Type::INT4_ARRAY],
            ),
            give_back: sql(
                "UPDATE {s}.consumer_lease SET owner = NULL, expires_at = clock_timestamp()
                 WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND owner = $4",
                &with(&[Type::UUID]),
            ),
            leave: sql(
                "DELETE FROM {s}.consumer_member
                 WHERE consumer_group = $1 AND (owner = $2 OR expires_at < clock_timestamp() - interval '1 hour')",
                &[Type::TEXT, Type::UUID],
            ),
            position: sql(
                "SELECT next_offset FROM {s}.consumer_position WHERE consumer_group = $1 AND topic = $2 AND partition = $3",
                &place,
            ),
            begin_position: sql(
                "INSERT INTO {s}.consumer_position (consumer_group, topic, partition, next_offset, topic_id)
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
                &with(&[Type::INT8, Type::UUID]),
            ),
            take: sql(
                "UPDATE {s}.consumer_position SET epoch = epoch + 1, stopped_because = NULL, updated_at = clock_timestamp(),
                     topic_id = coalesce(topic_id, $6),
                     careful_until = CASE WHEN $4 THEN greatest(careful_until, next_offset + $5) ELSE careful_until END,
                     alone_offset = CASE WHEN $4 THEN alone_offset END,
                     alone_starters = CASE WHEN $4 THEN alone_starters ELSE '{}' END
                 WHERE consumer_group = $1 AND topic = $2 AND partition = $3
                   AND EXISTS (SELECT FROM {s}.consumer_lease
                               WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND owner = $7)
                 RETURNING id, epoch, next_offset, careful_until, topic_id",
                &with(&[Type::BOOL, Type::INT8, Type::UUID, Type::UUID]),
            ),
            // Below what is stored nothing is written: another call was faster.
            advance: sql(
                "UPDATE {s}.consumer_position AS position
                 SET next_offset = greatest(position.next_offset, moved.next_offset), updated_at = statement_timestamp(),
                     end_offset = coalesce(moved.end_offset, position.end_offset)
                 FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
                     AS moved (id, epoch, next_offset, end_offset)
                 WHERE position.id = moved.id AND position.epoch = moved.epoch RETURNING position.id",
                &[Type::INT8_ARRAY, Type::INT8_ARRAY, Type::INT8_ARRAY, Type::INT8_ARRAY],
            ),
            read_fence: sql(
                "SELECT true FROM {s}.consumer_position WHERE id = $1 AND epoch = $2",
                &[Type::INT8, Type::INT8],
            ),
            // Transactions of the partition share this lock. One that waits for it comes before those that begin later.
            lock_partition: sql(
                "SELECT pg_advisory_xact_lock(hashtextextended({fence}, id)) FROM {s}.consumer_position
                 WHERE consumer_group = $1 AND topic = $2 AND partition = $3",
                &place,
            ),
            // Only backends that hold the lock of this partition, whatever schema or program they belong to.
            end_backends: sql(
                "SELECT pg_terminate_backend(held.pid) FROM {s}.consumer_position AS position, pg_catalog.pg_locks AS held
                 WHERE consumer_group = $1 AND topic = $2 AND partition = $3
                   AND held.locktype = 'advisory' AND held.objsubid = 1 AND held.granted AND held.pid <> pg_backend_pid()
                   AND held.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
                   AND (held.classid::bigint << 32 | held.objid::bigint) = hashtextextended({fence}, position.id)",
                &place,
            ),
            restore: super::session::restore(),
            lock_fence: sql(
                "SELECT true FROM {s}.consumer_position WHERE id = $1 AND epoch = $2 FOR SHARE",
                &[Type::INT8, Type::INT8],
            ),
            start_alone: sql(
                "UPDATE {s}.consumer_position AS this SET alone_offset = $3,
                     alone_starters = CASE WHEN alone_offset = $3 THEN alone_starters ELSE '{}' END || $4
                 WHERE id = $1 AND epoch = $2
                 RETURNING (SELECT count(*) FROM unnest(alone_starters) AS starter
                            WHERE starter <> $4 AND NOT EXISTS (
                                SELECT FROM {s}.consumer_member AS member WHERE member.consumer_group = this.consumer_group
                                AND member.owner = starter AND expires_at > clock_timestamp()))",
                &[Type::INT8, Type::INT8, Type::INT8, Type::UUID],
            ),
            not_alone: sql(
                "UPDATE {s}.consumer_position SET alone_offset = NULL, alone_starters = '{}'
                 WHERE id = $1 AND epoch = $2 AND alone_offset IS NOT NULL",
                &[Type::INT8, Type::INT8],
            ),
            set_stopped: sql(
                "UPDATE {s}.consumer_position SET stopped_because = $4
                 WHERE consumer_group = $1 AND topic = $2 AND partition = $3
                   AND EXISTS (SELECT FROM {s}.consumer_lease
                               WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND owner = $5)",
                &with(&[Type::TEXT, Type::UUID]),
            ),
            reset_position: sql(
                "UPDATE {s}.consumer_position
                 SET next_offset = $3, epoch = epoch + 1, topic_id = NULL, horizon = 0, careful_until = 0
                 WHERE id = $1 AND epoch = $2 RETURNING true",
                &[Type::INT8, Type::INT8, Type::INT8],
            ),
            move_position: sql(
                "UPDATE {s}.consumer_position SET next_offset = $4, epoch = epoch + 1, topic_id = NULL,
                     updated_at = clock_timestamp()
                 WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND ($5 OR horizon <= $4)
                 RETURNING true",
                &with(&[Type::INT8, Type::BOOL]),
            ),
            horizon: sql(
                "SELECT horizon FROM {s}.consumer_position WHERE consumer_group = $1 AND topic = $2 AND partition = $3",
                &place,
            ),
            // One time for all events of a transaction, so that they share an entry of the index by time.
            take_in: sql(
                "INSERT INTO {s}.consumer_inbox (consumer_group, event_id, state, position_id, record_offset, handled_at)
                 SELECT $1, id, $2, $3, o, statement_timestamp() FROM unnest($4::uuid[], $5::bigint[]) AS event (id, o)
                 ORDER BY id, o
                 ON CONFLICT DO NOTHING RETURNING event_id",
                &[Type::TEXT, Type::TEXT, Type::INT8, Type::UUID_ARRAY, Type::INT8_ARRAY],
            ),
            // LIMIT keeps the planner from reading all blocked keys for the few that are given. In a topic without blocked
            // keys, which is the usual case, the last condition reads the index once, and it is not read for each key.
            blocked: sql(
                "SELECT given.key FROM unnest($3::bytea[]) AS given (key) CROSS JOIN LATERAL (
                     SELECT FROM {s}.consumer_held
                     WHERE consumer_group = $1 AND topic = $2 AND blocks AND key_digest = sha256(given.key) LIMIT 1) AS held
                 WHERE (SELECT true FROM {s}.consumer_held WHERE consumer_group = $1 AND topic = $2 AND blocks
                        ORDER BY key_digest, id LIMIT 1)",
                &[Type::TEXT, Type::TEXT, Type::BYTEA_ARRAY],
            ),
            set_state: sql(
                "UPDATE {s}.consumer_inbox SET state = $3, handled_at = statement_timestamp()
                 WHERE consumer_group = $1 AND event_id = ANY ($2)",
                &[Type::TEXT, Type::UUID_ARRAY, Type::TEXT],
            ),
            known: sql(
                "SELECT event_id FROM {s}.consumer_inbox WHERE consumer_group = $1 AND event_id = ANY ($2)",
                &[Type::TEXT, Type::UUID_ARRAY],
            ),
            // An offset alone does not name a record: a topic that was deleted and created again begins at 0 again.
            hold: sql(
                "INSERT INTO {s}.consumer_held
                     (consumer_group, topic, partition, record_offset, event_id, state, blocks, key_digest, record_key,
                      record_value, header_names, header_values, record_timestamp, attempts, kind, error, next_attempt_at, event_type)
                 SELECT $1, $2, $3, $4, $5, $6, $7, sha256($8), $8, $9, $10, $11, $12, $13, $14, $15,
                        clock_timestamp() + make_interval(secs => $16), $17
                 WHERE NOT EXISTS (
                     SELECT FROM {s}.consumer_held
                     WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND record_offset = $4
                       AND event_id IS NOT DISTINCT FROM $5
                       AND ($5 IS NOT NULL OR (record_key, record_value, header_names, header_values, record_timestamp)
                            IS NOT DISTINCT FROM ($8, $9, $10, $11, $12)))",
                &with(&[
                    Type::INT8,
                    Type::UUID,
                    Type::TEXT,
                    Type::BOOL,
                    Type::BYTEA,
                    Type::BYTEA,
                    Type::TEXT_ARRAY,
                    Type::BYTEA_ARRAY,
                    Type::INT8,
                    Type::INT4,
                    Type::TEXT,
                    Type::TEXT,
                    Type::FLOAT8,
                    Type::TEXT,
                ]),
            ),
            held: sql(
                "SELECT record_offset, event_id, record_key, record_value, header_names, header_values, record_timestamp,
                        attempts, started, kind <> 'behind' AS was_tried,
                        coalesce(next_attempt_at <= clock_timestamp(), false) AS is_due
                 FROM {s}.consumer_held WHERE id = $1 AND consumer_group = $2 FOR UPDATE",
                &[Type::INT8, Type::TEXT],
            ),
            start_attempt: sql(
                "UPDATE {s}.consumer_held
                 SET attempts = attempts + 1, started = true,
                     next_attempt_at = clock_timestamp() + make_interval(secs => $2)
                 WHERE id = $1",
                &[Type::INT8, Type::FLOAT8],
            ),
            hold_again: sql(
                "UPDATE {s}.consumer_held SET state = $2, blocks = $3, kind = $4, error = $5, started = false,
                     last_failed_at = clock_timestamp(), next_attempt_at = clock_timestamp() + make_interval(secs => $6) WHERE id = $1",
                &[Type::INT8, Type::TEXT, Type::BOOL, Type::TEXT, Type::TEXT, Type::FLOAT8],
            ),
            // It is tried at once where nothing of its key is before it, and in its turn otherwise.
            revive: sql(
                "UPDATE {s}.consumer_held AS this
                 SET state = 'parked', blocks = key_digest IS NOT NULL, attempts = 0, started = false,
                     next_attempt_at = CASE WHEN NOT EXISTS (
                         SELECT FROM {s}.consumer_held AS head
                         WHERE head.blocks AND head.id < this.id AND head.consumer_group = this.consumer_group
                           AND head.topic = this.topic AND head.key_digest = this.key_digest) THEN clock_timestamp() END
                 WHERE id = $1 RETURNING event_id",
                &[Type::INT8],
            ),
            postpone: sql(
                "UPDATE {s}.consumer_held SET next_attempt_at = statement_timestamp() + interval '10 seconds'
                 WHERE id = $1 AND NOT started AND next_attempt_at <= statement_timestamp()",
                &[Type::INT8],
            ),
            undo_attempts: sql(
                "UPDATE {s}.consumer_held SET attempts = attempts - 1, started = false, next_attempt_at = clock_timestamp()
                 WHERE started AND consumer_group = $1 AND topic = $2 AND partition = $3",
                &place,
            ),
            release: sql(
                "DELETE FROM {s}.consumer_held WHERE id = $1 RETURNING event_id",
                &[Type::INT8],
            ),
            // A release of these events waits until the transaction ends, and then finds those that it parks.
            lock_last: sql(
                "SELECT last.id FROM unnest($3::bytea[]) AS given (key), LATERAL
                     (SELECT id FROM {s}.consumer_held WHERE consumer_group = $1 AND topic = $2 AND blocks
                        AND key_digest = sha256(given.key) ORDER BY id DESC LIMIT 1 FOR SHARE) AS last",
                &[Type::TEXT, Type::TEXT, Type::BYTEA_ARRAY],
            ),
            // The one behind becomes the head of its key. It may be of another partition, if their number was raised.
            release_next: sql(
                "UPDATE {s}.consumer_held SET next_attempt_at = clock_timestamp()
                 WHERE next_attempt_at IS NULL AND state = 'parked' AND id =
                     (SELECT min(next.id) FROM {s}.consumer_held AS next, {s}.consumer_held AS this
                      WHERE this.id = $1 AND next.blocks AND next.id <> this.id AND next.consumer_group = this.consumer_group
                        AND next.topic = this.topic AND next.key_digest = this.key_digest)
                 RETURNING CASE WHEN partition = (SELECT partition FROM {s}.consumer_held WHERE id = $1) THEN id END",
                &[Type::INT8],
            ),
            // From one blocked key to the next by the index, not over all events that wait.
            free_heads: sql(
                "WITH RECURSIVE head AS (
                     (SELECT topic, key_digest, id FROM {s}.consumer_held WHERE consumer_group = $1 AND blocks
                      ORDER BY topic, key_digest, id LIMIT 1)
                     UNION ALL
                     SELECT next.topic, next.key_digest, next.id FROM head CROSS JOIN LATERAL (
                         SELECT topic, key_digest, id FROM {s}.consumer_held
                         WHERE consumer_group = $1 AND blocks AND (topic, key_digest) > (head.topic, head.key_digest)
                         ORDER BY topic, key_digest, id LIMIT 1) AS next)
                 UPDATE {s}.consumer_held SET next_attempt_at = statement_timestamp()
                 WHERE next_attempt_at IS NULL AND state = 'parked' AND id = ANY (ARRAY (SELECT id FROM head)) RETURNING id",
                &[Type::TEXT],
            ),
            // For each partition its own due events by the index, whatever else waits.
            due: sql(
                "WITH mine AS MATERIALIZED (
                     SELECT given.id, given.epoch, given.wants, position.epoch AS current, position.topic, position.partition
                     FROM unnest($2::bigint[], $3::bigint[], $4::boolean[]) AS given (id, epoch, wants)
                     LEFT JOIN {s}.consumer_position AS position ON position.id = given.id)
                 SELECT mine.id, 'due' AS kind, 0::bigint AS request, held.id AS held, record_key, record_offset,
                        NULL::text AS topic, event_type
                 FROM mine CROSS JOIN LATERAL (
                     SELECT id, record_key, record_offset, event_type FROM {s}.consumer_held
                     WHERE mine.wants AND consumer_group = $1 AND topic = mine.topic AND partition = mine.partition
                       AND next_attempt_at <= statement_timestamp()
                     ORDER BY next_attempt_at LIMIT 200) AS held
                 UNION ALL
                 SELECT mine.id, request.action, request.id, request.held_id, record_key, coalesce(record_offset, 0), NULL, NULL
                 FROM mine CROSS JOIN LATERAL (
                     SELECT id, action, held_id FROM {s}.consumer_request
                     WHERE mine.wants AND consumer_group = $1 AND topic = mine.topic AND partition = mine.partition
                       AND done_at IS NULL
                     ORDER BY id LIMIT 200) AS request
                 LEFT JOIN {s}.consumer_held AS held ON held.id = request.held_id
                 UNION ALL
                 SELECT id, 'fenced', epoch, 0, NULL, 0, NULL, NULL FROM mine WHERE current IS DISTINCT FROM epoch
                 UNION ALL
                 SELECT 0, 'paused', 0, 0, NULL, 0, topic, event_type FROM {s}.consumer_pause
                 WHERE consumer_group = $1 AND (until IS NULL OR until > statement_timestamp())",
                &[Type::TEXT, Type::INT8_ARRAY, Type::INT8_ARRAY, Type::BOOL_ARRAY],
            ),
            done: sql(
                "UPDATE {s}.consumer_request SET done_at = statement_timestamp(), outcome = $2
                 WHERE id = $1 AND done_at IS NULL RETURNING true",
                &[Type::INT8, Type::TEXT],
            ),
            request: sql(
                "INSERT INTO {s}.consumer_request (consumer_group, topic, partition, held_id, action)
                 SELECT consumer_group, topic, partition, id, $3 FROM {s}.consumer_held WHERE consumer_group = $1 AND id = $2
                 RETURNING id",
                &[Type::TEXT, Type::INT8, Type::TEXT],
            ),
            show: sql(
                "SELECT id, topic, partition, record_offset, event_id, event_type, state, record_key, attempts, kind, error,
                        first_failed_at, last_failed_at, next_attempt_at,
                        record_value, header_names, header_values, record_timestamp
                 FROM {s}.consumer_held WHERE consumer_group = $1 AND id = $2",
                &[Type::TEXT, Type::INT8],
            ),
            pause: sql(PAUSE, &[Type::TEXT, Type::TEXT, Type::TEXT, Type::TEXT, Type::FLOAT8]),
            resume: sql(RESUME, &[Type::TEXT, Type::TEXT, Type::TEXT]),
            pauses: sql(PAUSES, &[Type::TEXT]),
            forget_pauses: sql(FORGET_PAUSES, &[Type::TEXT]),
            status: sql(STATUS, &[Type::TEXT]),
            request_of: sql(REQUEST_OF, &[Type::TEXT, Type::INT8]),
            remove_group: sql(REMOVE_GROUP, &[Type::TEXT]),
            remove_events: sql(REMOVE_EVENTS, &[Type::TEXT, Type::UUID]),
            may_purge: sql(MAY_PURGE, &[Type::TEXT]),
            forget: sql(FORGET, &[Type::TEXT, Type::TIMESTAMPTZ, Type::FLOAT8, Type::INT8]),
            forget_requests: sql(FORGET_REQUESTS, &[Type::TEXT, Type::FLOAT8, Type::INT8]),
            forget_members: sql(FORGET_MEMBERS, &[Type::TEXT]),
            expire_dead: sql(EXPIRE_DEAD, &[Type::TEXT, Type::FLOAT8, Type::INT8]),
        }
    }
}

/// Names the locks of the partitions in a schema. With the id of its position, it is hashed to the key of an advisory
/// lock.
pub(super) fn fence_name(schema: &Identifier) -> String {
    format!("{schema}.consumer_position")
}

/// Returns a text as SQL has it.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
