//! The SQL of the inbox, and of the keys that are blocked.

statements! {
    Inbox {
        // One time for all events of a transaction, so that they share an entry of the index by time.
        take_in(TEXT, TEXT, INT8, UUID_ARRAY, INT8_ARRAY)
            "INSERT INTO {s}.consumer_inbox (consumer_group, event_id, state, position_id, record_offset, handled_at)
             SELECT $1, id, $2, $3, o, statement_timestamp() FROM unnest($4::uuid[], $5::bigint[]) AS event (id, o)
             ORDER BY id, o
             ON CONFLICT DO NOTHING RETURNING event_id";

        // LIMIT keeps the planner from reading all blocked keys for the few that are given. In a topic without
        // blocked keys, which is the usual case, the last condition reads the index once, and it is not read for
        // each key.
        blocked(TEXT, TEXT, BYTEA_ARRAY)
            "SELECT given.key FROM unnest($3::bytea[]) AS given (key) CROSS JOIN LATERAL (
                 SELECT FROM {s}.consumer_held
                 WHERE consumer_group = $1 AND topic = $2 AND blocks AND key_digest = sha256(given.key) LIMIT 1) AS held
             WHERE (SELECT true FROM {s}.consumer_held WHERE consumer_group = $1 AND topic = $2 AND blocks
                    ORDER BY key_digest, id LIMIT 1)";

        set_state(TEXT, UUID_ARRAY, TEXT)
            "UPDATE {s}.consumer_inbox SET state = $3, handled_at = statement_timestamp()
             WHERE consumer_group = $1 AND event_id = ANY ($2)";

        known(TEXT, UUID_ARRAY)
            "SELECT event_id FROM {s}.consumer_inbox WHERE consumer_group = $1 AND event_id = ANY ($2)";
    }
}
