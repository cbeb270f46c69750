//! The SQL of retention.

statements! {
    Retention {
        may_purge(TEXT)
            "SELECT pg_try_advisory_xact_lock(hashtextextended({purge} || '/' || $1, 0))";

        // A batch of the oldest events, by the index. The horizon rises with it, so that no position is moved to
        // forgotten events. Events that are not below the position stay, because they may be read again.
        forget(TEXT, TIMESTAMPTZ, FLOAT8, INT8)
            "WITH aged AS MATERIALIZED (
                 SELECT ctid, position_id, record_offset, handled_at FROM {s}.consumer_inbox
                 WHERE consumer_group = $1 AND state = 'handled' AND handled_at >= $2
                   AND handled_at < statement_timestamp() - make_interval(secs => $3)
                 ORDER BY handled_at LIMIT $4),
             raised AS (
                 UPDATE {s}.consumer_position AS position
                 SET horizon = greatest(horizon, least(reach.below, next_offset))
                 FROM (SELECT position_id, max(record_offset) + 1 AS below FROM aged GROUP BY position_id) AS reach
                 WHERE position.id = reach.position_id
                 RETURNING position.id, least(position.next_offset, position.horizon) AS below),
             judged AS MATERIALIZED (
                 SELECT aged.ctid, handled_at, coalesce(record_offset < below, NOT EXISTS (
                            SELECT FROM {s}.consumer_position AS position WHERE position.id = position_id)) AS goes
                 FROM aged LEFT JOIN raised ON raised.id = position_id),
             gone AS (
                 DELETE FROM {s}.consumer_inbox WHERE ctid = ANY (ARRAY (SELECT ctid FROM judged WHERE goes))
                 RETURNING 1)
             SELECT (SELECT count(*) FROM gone), count(*), max(handled_at), min(handled_at) FILTER (WHERE NOT goes)
             FROM judged";

        forget_requests(TEXT, FLOAT8, INT8)
            "DELETE FROM {s}.consumer_request WHERE id = ANY (ARRAY (
             SELECT id FROM {s}.consumer_request
             WHERE consumer_group = $1 AND done_at < statement_timestamp() - make_interval(secs => $2)
             ORDER BY done_at LIMIT $3)) RETURNING id";

        forget_members(TEXT)
            "DELETE FROM {s}.consumer_member
             WHERE consumer_group = $1 AND expires_at < statement_timestamp() - interval '1 hour' RETURNING owner";

        forget_pauses(TEXT)
            "DELETE FROM {s}.consumer_pause WHERE consumer_group = $1 AND until < statement_timestamp() RETURNING topic";

        // By request, so that the owner of the partition does it in the order of the key.
        expire_dead(TEXT, FLOAT8, INT8)
            "INSERT INTO {s}.consumer_request (consumer_group, topic, partition, held_id, action)
             SELECT consumer_group, topic, partition, id, 'discard' FROM {s}.consumer_held AS held
             WHERE consumer_group = $1 AND state = 'dead'
               AND last_failed_at < statement_timestamp() - make_interval(secs => $2)
               AND NOT EXISTS (SELECT FROM {s}.consumer_request AS request
                               WHERE request.held_id = held.id AND request.done_at IS NULL)
             ORDER BY last_failed_at LIMIT $3 RETURNING id";
    }
}
