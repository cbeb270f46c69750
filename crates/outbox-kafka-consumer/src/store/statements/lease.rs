//! The SQL of members, leases and subscriptions.

statements! {
    Lease {
        be_member(TEXT, UUID, TEXT_ARRAY, FLOAT8, TEXT_ARRAY)
            "INSERT INTO {s}.consumer_member (consumer_group, owner, topics, expires_at, handles)
             VALUES ($1, $2, $3, clock_timestamp() + make_interval(secs => $4), $5)
             ON CONFLICT (consumer_group, owner) DO UPDATE
             SET topics = excluded.topics, expires_at = excluded.expires_at, handles = excluded.handles";

        renew(TEXT, UUID, FLOAT8)
            "UPDATE {s}.consumer_lease SET expires_at = clock_timestamp() + make_interval(secs => $3)
             WHERE consumer_group = $1 AND owner = $2 RETURNING topic, partition";

        members(TEXT)
            "SELECT owner, topics, handles, expires_at > clock_timestamp() FROM {s}.consumer_member
             WHERE consumer_group = $1 AND expires_at > clock_timestamp() - interval '1 hour'";

        leave(TEXT, UUID)
            "DELETE FROM {s}.consumer_member
             WHERE consumer_group = $1 AND (owner = $2 OR expires_at < clock_timestamp() - interval '1 hour')";

        add_seats(TEXT, TEXT_ARRAY, INT4_ARRAY)
            "INSERT INTO {s}.consumer_lease (consumer_group, topic, partition, expires_at)
             SELECT $1, t, p, clock_timestamp() FROM unnest($2::text[], $3::int[]) AS seat (t, p) ORDER BY t, p
             ON CONFLICT DO NOTHING";

        seats(TEXT, TEXT_ARRAY)
            "SELECT topic, partition, CASE WHEN expires_at > clock_timestamp() THEN owner END FROM {s}.consumer_lease
             WHERE consumer_group = $1 AND topic = ANY ($2)";

        claim(TEXT, UUID, FLOAT8, TEXT_ARRAY, INT4_ARRAY)
            "UPDATE {s}.consumer_lease AS lease
             SET owner = $2, expires_at = clock_timestamp() + make_interval(secs => $3)
             FROM (SELECT consumer_group, topic, partition, owner FROM {s}.consumer_lease
                   WHERE consumer_group = $1 AND (owner IS NULL OR owner = $2 OR expires_at <= clock_timestamp())
                     AND (topic, partition) IN (SELECT * FROM unnest($4::text[], $5::int[]))
                   FOR UPDATE SKIP LOCKED) AS free
             WHERE (lease.consumer_group, lease.topic, lease.partition) = (free.consumer_group, free.topic, free.partition)
             RETURNING lease.topic, lease.partition, free.owner IS NOT NULL AND free.owner <> $2";

        give_back(TEXT, TEXT, INT4, UUID)
            "UPDATE {s}.consumer_lease SET owner = NULL, expires_at = clock_timestamp()
             WHERE consumer_group = $1 AND topic = $2 AND partition = $3 AND owner = $4";

        subscribe(TEXT, TEXT_ARRAY, INT4_ARRAY)
            "INSERT INTO {s}.consumer_subscription
             SELECT $1, * FROM unnest($2::text[], $3::int[]) ON CONFLICT DO NOTHING";

        first_partitions(TEXT, TEXT)
            "SELECT first_partitions FROM {s}.consumer_subscription WHERE consumer_group = $1 AND topic = $2";

        forget_partitions(TEXT, TEXT_ARRAY, INT4_ARRAY, UUID)
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
             WHERE consumer_group = $1 AND gone.topic = name AND partition >= partitions AND partitions > 0";
    }
}
