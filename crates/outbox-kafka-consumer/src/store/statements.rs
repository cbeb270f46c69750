use deadpool_postgres::tokio_postgres::types::Type;
use outbox_core::Identifier;

/// A statement with the types of its parameters, so that it needs no round trip to be described.
pub(super) struct Sql {
    pub(super) text: String,
    pub(super) types: Vec<Type>,
}

/// All statements, with the schema's name in them. `$1` is the group throughout, unless a row's id is enough.
pub(super) struct Statements {
    pub(super) be_member: Sql,
    pub(super) renew: Sql,
    pub(super) add_seats: Sql,
    pub(super) members: Sql,
    pub(super) seats: Sql,
    pub(super) subscribe: Sql,
    pub(super) first_partitions: Sql,
    pub(super) forget_partitions: Sql,
    pub(super) claim: Sql,
    pub(super) give_back: Sql,
    pub(super) leave: Sql,
    pub(super) position: Sql,
    pub(super) begin_position: Sql,
    pub(super) take: Sql,
    pub(super) end_backends: Sql,
    pub(super) advance: Sql,
    pub(super) advance_guarded: Sql,
    pub(super) read_fence: Sql,
    pub(super) restore: Sql,
    pub(super) start_alone: Sql,
    pub(super) not_alone: Sql,
    pub(super) set_stopped: Sql,
    pub(super) reset_position: Sql,
    pub(super) move_position: Sql,
    pub(super) horizon: Sql,
    pub(super) take_in: Sql,
    pub(super) blocked: Sql,
    pub(super) set_state: Sql,
    pub(super) known: Sql,
    pub(super) hold: Sql,
    pub(super) held: Sql,
    pub(super) start_attempt: Sql,
    pub(super) hold_again: Sql,
    pub(super) revive: Sql,
    pub(super) undo_attempts: Sql,
    pub(super) release: Sql,
    pub(super) lock_last: Sql,
    pub(super) release_next: Sql,
    pub(super) mend_heads: Sql,
    pub(super) errands: Sql,
    pub(super) done: Sql,
    pub(super) request: Sql,
    pub(super) list: Sql,
    pub(super) show: Sql,
    pub(super) purge_range: Sql,
    pub(super) raise_horizon: Sql,
    pub(super) purge: Sql,
}

impl Statements {
    #[expect(clippy::too_many_lines, reason = "one statement after the other")]
    pub(super) fn new(schema: &Identifier) -> Self {
        let sql =
            |text: &str, types: &[Type]| Sql { text: text.replace("{s}", &schema.to_string()), types: types.to_vec() };
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
            // Only backends of transactions that this owner's predecessors began, by the name that they gave them.
            end_backends: sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity, {s}.consumer_position AS position
                 WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND datname = current_database()
                   AND pid <> pg_backend_pid() AND application_name LIKE 'outbox-consumer/' || position.id || '/%'",
                &place,
            ),
            advance: sql(
                "UPDATE {s}.consumer_position SET next_offset = $4, updated_at = clock_timestamp()
                 WHERE id = $1 AND epoch = $2 AND next_offset = $3 RETURNING true",
                &[Type::INT8, Type::INT8, Type::INT8, Type::INT8],
            ),
            // Nothing is written unless the transaction is still the one that was begun.
            advance_guarded: sql(
                "UPDATE {s}.consumer_position SET next_offset = $4, updated_at = clock_timestamp()
                 WHERE id = $1 AND epoch = $2 AND next_offset = $3
                   AND EXISTS (SELECT FROM pg_cursors WHERE name = 'outbox_guard') RETURNING true",
                &[Type::INT8, Type::INT8, Type::INT8, Type::INT8],
            ),
            read_fence: sql(
                "SELECT true FROM {s}.consumer_position WHERE id = $1 AND epoch = $2 FOR SHARE",
                &[Type::INT8, Type::INT8],
            ),
            restore: super::session::restore(),
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
                 WHERE consumer_group = $1 AND topic = $2 AND partition = $3",
                &with(&[Type::TEXT]),
            ),
            reset_position: sql(
                "UPDATE {s}.consumer_position SET next_offset = $3, topic_id = NULL, horizon = 0, careful_until = 0
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
            take_in: sql(
                "INSERT INTO {s}.consumer_inbox (consumer_group, event_id, state, position_id, record_offset)
                 SELECT $1, id, $2, $3, o FROM unnest($4::uuid[], $5::bigint[]) AS event (id, o) ORDER BY id, o
                 ON CONFLICT DO NOTHING RETURNING event_id",
                &[Type::TEXT, Type::TEXT, Type::INT8, Type::UUID_ARRAY, Type::INT8_ARRAY],
            ),
            blocked: sql(
                "SELECT key FROM unnest($3::bytea[]) AS given (key)
                 WHERE EXISTS (SELECT FROM {s}.consumer_held WHERE consumer_group = $1 AND topic = $2 AND blocks)
                   AND EXISTS (SELECT FROM {s}.consumer_held
                               WHERE consumer_group = $1 AND topic = $2 AND blocks AND key_digest = sha256(given.key))",
                &[Type::TEXT, Type::TEXT, Type::BYTEA_ARRAY],
            ),
            set_state: sql(
                "UPDATE {s}.consumer_inbox SET state = $3, handled_at = clock_timestamp()
                 WHERE consumer_group = $1 AND event_id = ANY ($2)",
                &[Type::TEXT, Type::UUID_ARRAY, Type::TEXT],
            ),
            known: sql(
                "SELECT state FROM {s}.consumer_inbox WHERE consumer_group = $1 AND event_id = $2",
                &[Type::TEXT, Type::UUID],
            ),
            // An offset alone does not name a record: a topic that was deleted and created again begins at 0 again.
            hold: sql(
                "INSERT INTO {s}.consumer_held
                     (consumer_group, topic, partition, record_offset, event_id, state, blocks, key_digest, record_key,
                      record_value, header_names, header_values, record_timestamp, attempts, kind, error, next_attempt_at)
                 SELECT $1, $2, $3, $4, $5, $6, $7, sha256($8), $8, $9, $10, $11, $12, $13, $14, $15,
                        clock_timestamp() + make_interval(secs => $16)
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
                ]),
            ),
            held: sql(
                "SELECT record_offset, event_id, record_key, record_value, header_names, header_values, record_timestamp,
                        attempts, started, coalesce(next_attempt_at <= clock_timestamp(), false) AS is_due
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
            undo_attempts: sql(
                "UPDATE {s}.consumer_held SET attempts = attempts - 1, started = false, next_attempt_at = clock_timestamp()
                 WHERE started AND consumer_group = $1 AND topic = $2 AND partition = $3",
                &place,
            ),
            release: sql(
                "DELETE FROM {s}.consumer_held WHERE id = $1 RETURNING event_id",
                &[Type::INT8],
            ),
            // Whoever releases these events waits until the transaction ends, and then finds those that it parks.
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
            mend_heads: sql(
                "UPDATE {s}.consumer_held SET next_attempt_at = clock_timestamp()
                 WHERE next_attempt_at IS NULL AND state = 'parked' AND consumer_group = $1 AND topic = $2 AND partition = $3
                   AND id IN (SELECT min(id) FROM {s}.consumer_held WHERE consumer_group = $1 AND topic = $2 AND blocks
                              GROUP BY key_digest)",
                &place,
            ),
            errands: sql(
                "(SELECT 'retry' AS action, 0 AS request, id, record_key, record_offset FROM {s}.consumer_held
                  WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND next_attempt_at <= clock_timestamp()
                  ORDER BY next_attempt_at LIMIT 200)
                 UNION ALL
                 (SELECT request.action, request.id, held_id, record_key, record_offset FROM {s}.consumer_request AS request
                  LEFT JOIN {s}.consumer_held AS held ON held.id = request.held_id
                  WHERE request.consumer_group = $1 AND request.topic = $2 AND request.partition = $3 AND done_at IS NULL
                  ORDER BY request.id LIMIT 200)
                 UNION ALL
                 (SELECT 'epoch', epoch, id, NULL, 0 FROM {s}.consumer_position
                  WHERE consumer_group = $1 AND topic = $2 AND partition = $3)",
                &place,
            ),
            done: sql(
                "UPDATE {s}.consumer_request SET done_at = clock_timestamp() WHERE id = $1 AND done_at IS NULL RETURNING true",
                &[Type::INT8],
            ),
            request: sql(
                "INSERT INTO {s}.consumer_request (consumer_group, topic, partition, held_id, action)
                 SELECT consumer_group, topic, partition, id, $3 FROM {s}.consumer_held WHERE consumer_group = $1 AND id = $2
                 RETURNING id",
                &[Type::TEXT, Type::INT8, Type::TEXT],
            ),
            list: sql(
                "SELECT id, topic, partition, record_offset, event_id, state, record_key, attempts, kind, error,
                        first_failed_at, last_failed_at, next_attempt_at
                 FROM {s}.consumer_held WHERE consumer_group = $1 AND state = $2 AND id > $3 ORDER BY id LIMIT $4",
                &[Type::TEXT, Type::TEXT, Type::INT8, Type::INT8],
            ),
            show: sql(
                "SELECT id, topic, partition, record_offset, event_id, state, record_key, attempts, kind, error,
                        first_failed_at, last_failed_at, next_attempt_at,
                        record_value, header_names, header_values, record_timestamp
                 FROM {s}.consumer_held WHERE consumer_group = $1 AND id = $2",
                &[Type::TEXT, Type::INT8],
            ),
            purge_range: sql(
                "SELECT position.id, position.next_offset, position.horizon,
                        (SELECT max(record_offset) + 1 FROM {s}.consumer_inbox AS inbox
                         WHERE inbox.consumer_group = $1 AND inbox.position_id = position.id AND state = 'handled'
                           AND handled_at < clock_timestamp() - make_interval(secs => $2))
                 FROM {s}.consumer_position AS position WHERE consumer_group = $1",
                &[Type::TEXT, Type::FLOAT8],
            ),
            raise_horizon: sql(
                "UPDATE {s}.consumer_position SET horizon = greatest(horizon, $2) WHERE id = $1 AND next_offset >= $2
                 RETURNING true",
                &[Type::INT8, Type::INT8],
            ),
            purge: sql(
                "DELETE FROM {s}.consumer_inbox WHERE ctid = ANY (ARRAY (
                     SELECT ctid FROM {s}.consumer_inbox WHERE consumer_group = $1 AND position_id = $2 AND state = 'handled'
                       AND record_offset < $3 AND handled_at < clock_timestamp() - make_interval(secs => $4) LIMIT 1000))
                 RETURNING true",
                &[Type::TEXT, Type::INT8, Type::INT8, Type::FLOAT8],
            ),
        }
    }
}
