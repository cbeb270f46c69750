//! The SQL of operators' requests: requests, pauses, status, the removal of a group.

statements! {
    Operator {
        request(TEXT, INT8, TEXT)
            "INSERT INTO {s}.consumer_request (consumer_group, topic, partition, held_id, action)
             SELECT consumer_group, topic, partition, id, $3 FROM {s}.consumer_held WHERE consumer_group = $1 AND id = $2
             RETURNING id";

        request_of(TEXT, INT8)
            "SELECT id, held_id, action, requested_at, done_at, outcome FROM {s}.consumer_request
             WHERE consumer_group = $1 AND id = $2";

        done(INT8, TEXT)
            "UPDATE {s}.consumer_request SET done_at = statement_timestamp(), outcome = $2
             WHERE id = $1 AND done_at IS NULL RETURNING true";

        // The columns of `HELD` in `admin.rs`, and those of the record.
        show(TEXT, INT8)
            "SELECT id, topic, partition, record_offset, event_id, event_type, state, record_key, attempts, kind, error,
                    first_failed_at, last_failed_at, next_attempt_at,
                    record_value, header_names, header_values, record_timestamp
             FROM {s}.consumer_held WHERE consumer_group = $1 AND id = $2";

        pause(TEXT, TEXT, TEXT, TEXT, FLOAT8)
            "INSERT INTO {s}.consumer_pause AS known (consumer_group, topic, event_type, reason, until)
             VALUES ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $5))
             ON CONFLICT (consumer_group, topic, event_type)
             DO UPDATE SET reason = excluded.reason, paused_at = excluded.paused_at, until = excluded.until
             WHERE excluded.until IS NULL OR known.until IS NOT NULL";

        resume(TEXT, TEXT, TEXT)
            "DELETE FROM {s}.consumer_pause WHERE consumer_group = $1 AND topic = $2 AND event_type = $3 RETURNING true";

        pauses(TEXT)
            "SELECT topic, event_type, reason, paused_at, until FROM {s}.consumer_pause
             WHERE consumer_group = $1 AND (until IS NULL OR until > statement_timestamp())
             ORDER BY topic, event_type";

        status(TEXT)
            "SELECT topic, partition, next_offset, end_offset, stopped_because, updated_at,
                    (SELECT owner FROM {s}.consumer_lease AS lease
                     WHERE lease.consumer_group = $1 AND lease.topic = position.topic
                       AND lease.partition = position.partition AND expires_at > statement_timestamp()) AS owner,
                    (SELECT count(*) FROM {s}.consumer_held AS held
                     WHERE held.consumer_group = $1 AND held.topic = position.topic
                       AND held.partition = position.partition AND state = 'parked') AS parked,
                    (SELECT count(*) FROM {s}.consumer_held AS held
                     WHERE held.consumer_group = $1 AND held.topic = position.topic
                       AND held.partition = position.partition AND state = 'dead') AS dead,
                    EXISTS (SELECT FROM {s}.consumer_pause AS pause
                            WHERE pause.consumer_group = $1 AND pause.topic IN ('', position.topic)
                              AND event_type = '' AND (until IS NULL OR until > statement_timestamp())) AS paused
             FROM {s}.consumer_position AS position WHERE consumer_group = $1 ORDER BY topic, partition";

        remove_group(TEXT)
            "WITH held AS (DELETE FROM {s}.consumer_held WHERE consumer_group = $1),
                  request AS (DELETE FROM {s}.consumer_request WHERE consumer_group = $1),
                  pause AS (DELETE FROM {s}.consumer_pause WHERE consumer_group = $1),
                  lease AS (DELETE FROM {s}.consumer_lease WHERE consumer_group = $1),
                  member AS (DELETE FROM {s}.consumer_member WHERE consumer_group = $1),
                  subscription AS (DELETE FROM {s}.consumer_subscription WHERE consumer_group = $1)
             DELETE FROM {s}.consumer_position WHERE consumer_group = $1";

        // In the order of the key, so that deleted rows are not read again.
        remove_events(TEXT, UUID)
            "WITH batch AS MATERIALIZED (
                 SELECT ctid, event_id FROM {s}.consumer_inbox WHERE consumer_group = $1 AND event_id > $2
                 ORDER BY event_id LIMIT 5000),
             gone AS (DELETE FROM {s}.consumer_inbox WHERE ctid = ANY (ARRAY (SELECT ctid FROM batch)))
             SELECT event_id FROM batch ORDER BY event_id DESC LIMIT 1";
    }
}
