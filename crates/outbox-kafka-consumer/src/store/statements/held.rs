//! The SQL of parked events and dead letters.

statements! {
    Held {
        // An offset alone does not name a record: a topic that was deleted and created again begins at 0 again.
        hold(
            TEXT, TEXT, INT4, INT8, UUID, TEXT, BOOL, BYTEA,
            BYTEA, TEXT_ARRAY, BYTEA_ARRAY, INT8, INT4, TEXT, TEXT, FLOAT8, TEXT
        )
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
                        IS NOT DISTINCT FROM ($8, $9, $10, $11, $12)))";

        held(INT8, TEXT)
            "SELECT record_offset, event_id, record_key, record_value, header_names, header_values, record_timestamp,
                    attempts, started, kind <> 'behind' AS was_tried,
                    coalesce(next_attempt_at <= clock_timestamp(), false) AS is_due
             FROM {s}.consumer_held WHERE id = $1 AND consumer_group = $2 FOR UPDATE";

        start_attempt(INT8, FLOAT8)
            "UPDATE {s}.consumer_held
             SET attempts = attempts + 1, started = true,
                 next_attempt_at = clock_timestamp() + make_interval(secs => $2)
             WHERE id = $1";

        hold_again(INT8, TEXT, BOOL, TEXT, TEXT, FLOAT8, INT4)
            "UPDATE {s}.consumer_held SET state = $2, blocks = $3, kind = $4, error = $5, started = false, attempts = $7,
             last_failed_at = clock_timestamp(), next_attempt_at = clock_timestamp() + make_interval(secs => $6) WHERE id = $1";

        // It is due at once if no event of its key is before it, and otherwise in its turn. The time of its first
        // failure stays.
        revive(INT8)
            "UPDATE {s}.consumer_held AS this
             SET state = 'parked', blocks = key_digest IS NOT NULL, attempts = 0, started = false,
                 next_attempt_at = CASE WHEN NOT EXISTS (
                     SELECT FROM {s}.consumer_held AS head
                     WHERE head.blocks AND head.id < this.id AND head.consumer_group = this.consumer_group
                       AND head.topic = this.topic AND head.key_digest = this.key_digest) THEN clock_timestamp() END
             WHERE id = $1 RETURNING event_id";

        postpone(INT8)
            "UPDATE {s}.consumer_held SET next_attempt_at = statement_timestamp() + interval '10 seconds'
             WHERE id = $1 AND NOT started AND next_attempt_at <= statement_timestamp()";

        undo_attempts(TEXT, TEXT, INT4)
            "UPDATE {s}.consumer_held SET attempts = attempts - 1, started = false, next_attempt_at = clock_timestamp()
             WHERE started AND consumer_group = $1 AND topic = $2 AND partition = $3";

        release(INT8)
            "DELETE FROM {s}.consumer_held WHERE id = $1 RETURNING event_id";

        // A release of these events waits until the transaction ends, and then finds those that it parks.
        lock_last(TEXT, TEXT, BYTEA_ARRAY)
            "SELECT last.id FROM unnest($3::bytea[]) AS given (key), LATERAL
             (SELECT id FROM {s}.consumer_held WHERE consumer_group = $1 AND topic = $2 AND blocks
                AND key_digest = sha256(given.key) ORDER BY id DESC LIMIT 1 FOR SHARE) AS last";

        // The next event of the key becomes its first one. It may be of another partition if the number of partitions
        // was raised.
        release_next(INT8)
            "UPDATE {s}.consumer_held SET next_attempt_at = clock_timestamp()
             WHERE next_attempt_at IS NULL AND state = 'parked' AND id =
                 (SELECT min(next.id) FROM {s}.consumer_held AS next, {s}.consumer_held AS this
                  WHERE this.id = $1 AND next.blocks AND next.id <> this.id AND next.consumer_group = this.consumer_group
                    AND next.topic = this.topic AND next.key_digest = this.key_digest)
             RETURNING CASE WHEN partition = (SELECT partition FROM {s}.consumer_held WHERE id = $1) THEN id END";

        // From one blocked key to the next by the index, not over all events that wait.
        free_heads(TEXT)
            "WITH RECURSIVE head AS (
                 (SELECT topic, key_digest, id FROM {s}.consumer_held WHERE consumer_group = $1 AND blocks
                  ORDER BY topic, key_digest, id LIMIT 1)
                 UNION ALL
                 SELECT next.topic, next.key_digest, next.id FROM head CROSS JOIN LATERAL (
                     SELECT topic, key_digest, id FROM {s}.consumer_held
                     WHERE consumer_group = $1 AND blocks AND (topic, key_digest) > (head.topic, head.key_digest)
                     ORDER BY topic, key_digest, id LIMIT 1) AS next)
             UPDATE {s}.consumer_held SET next_attempt_at = statement_timestamp()
             WHERE next_attempt_at IS NULL AND state = 'parked' AND id = ANY (ARRAY (SELECT id FROM head)) RETURNING id";

        // For each partition its own due events by the index, whatever else waits.
        due(TEXT, INT8_ARRAY, INT8_ARRAY, BOOL_ARRAY)
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
             WHERE consumer_group = $1 AND (until IS NULL OR until > statement_timestamp())";
    }
}
