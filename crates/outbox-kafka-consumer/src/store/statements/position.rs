//! The SQL of positions and their fence.

statements! {
    Position {
        position(TEXT, TEXT, INT4)
            "SELECT next_offset FROM {s}.consumer_position WHERE consumer_group = $1 AND topic = $2 AND partition = $3";

        begin_position(TEXT, TEXT, INT4, INT8, UUID)
            "INSERT INTO {s}.consumer_position (consumer_group, topic, partition, next_offset, topic_id)
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";

        take(TEXT, TEXT, INT4, BOOL, INT8, UUID, UUID)
            "UPDATE {s}.consumer_position SET epoch = epoch + 1, stopped_because = NULL, updated_at = clock_timestamp(),
                 topic_id = coalesce(topic_id, $6),
                 careful_until = CASE WHEN $4 THEN greatest(careful_until, next_offset + $5) ELSE careful_until END,
                 alone_offset = CASE WHEN $4 THEN alone_offset END,
                 alone_starters = CASE WHEN $4 THEN alone_starters ELSE '{}' END
             WHERE consumer_group = $1 AND topic = $2 AND partition = $3
               AND EXISTS (SELECT FROM {s}.consumer_lease
                           WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND owner = $7)
             RETURNING id, epoch, next_offset, careful_until, topic_id";

        // A position below the stored one is not written: another call was faster.
        advance(INT8_ARRAY, INT8_ARRAY, INT8_ARRAY, INT8_ARRAY)
            "UPDATE {s}.consumer_position AS position
             SET next_offset = greatest(position.next_offset, moved.next_offset), updated_at = statement_timestamp(),
                 end_offset = coalesce(moved.end_offset, position.end_offset)
             FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[])
                 AS moved (id, epoch, next_offset, end_offset)
             WHERE position.id = moved.id AND position.epoch = moved.epoch RETURNING position.id";

        read_fence(INT8, INT8)
            "SELECT true FROM {s}.consumer_position WHERE id = $1 AND epoch = $2";

        lock_fence(INT8, INT8)
            "SELECT true FROM {s}.consumer_position WHERE id = $1 AND epoch = $2 FOR SHARE";

        // Transactions of the partition share this lock. One that waits for it comes before those that begin
        // later.
        lock_partition(TEXT, TEXT, INT4)
            "SELECT pg_advisory_xact_lock(hashtextextended({fence}, id)) FROM {s}.consumer_position
             WHERE consumer_group = $1 AND topic = $2 AND partition = $3";

        // Only backends that hold the lock of this partition, whatever schema or program they belong to.
        end_backends(TEXT, TEXT, INT4)
            "SELECT pg_terminate_backend(held.pid) FROM {s}.consumer_position AS position, pg_catalog.pg_locks AS held
             WHERE consumer_group = $1 AND topic = $2 AND partition = $3
               AND held.locktype = 'advisory' AND held.objsubid = 1 AND held.granted AND held.pid <> pg_backend_pid()
               AND held.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
               AND (held.classid::bigint << 32 | held.objid::bigint) = hashtextextended({fence}, position.id)";

        start_alone(INT8, INT8, INT8, UUID)
            "UPDATE {s}.consumer_position AS this SET alone_offset = $3,
                 alone_starters = CASE WHEN alone_offset = $3 THEN alone_starters ELSE '{}' END || $4
             WHERE id = $1 AND epoch = $2
             RETURNING (SELECT count(*) FROM unnest(alone_starters) AS starter
                        WHERE starter <> $4 AND NOT EXISTS (
                            SELECT FROM {s}.consumer_member AS member WHERE member.consumer_group = this.consumer_group
                            AND member.owner = starter AND expires_at > clock_timestamp()))";

        not_alone(INT8, INT8)
            "UPDATE {s}.consumer_position SET alone_offset = NULL, alone_starters = '{}'
             WHERE id = $1 AND epoch = $2 AND alone_offset IS NOT NULL";

        set_stopped(TEXT, TEXT, INT4, TEXT, UUID)
            "UPDATE {s}.consumer_position SET stopped_because = $4
             WHERE consumer_group = $1 AND topic = $2 AND partition = $3
               AND EXISTS (SELECT FROM {s}.consumer_lease
                           WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND owner = $5)";

        reset_position(INT8, INT8, INT8)
            "UPDATE {s}.consumer_position
             SET next_offset = $3, epoch = epoch + 1, topic_id = NULL, horizon = 0, careful_until = 0
             WHERE id = $1 AND epoch = $2 RETURNING true";

        move_position(TEXT, TEXT, INT4, INT8, BOOL)
            "UPDATE {s}.consumer_position SET next_offset = $4, epoch = epoch + 1, topic_id = NULL,
                 updated_at = clock_timestamp()
             WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND ($5 OR horizon <= $4)
             RETURNING true";

        horizon(TEXT, TEXT, INT4)
            "SELECT horizon FROM {s}.consumer_position WHERE consumer_group = $1 AND topic = $2 AND partition = $3";
    }
}
