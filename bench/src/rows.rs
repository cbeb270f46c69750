//! The rows that are written: numbered, so that each can be found again.

/// The number of aggregates that the rows belong to in turn: enough that each of 300 partitions has one.
pub(crate) const AGGREGATES: u64 = 2_000;

/// The last part of the topic's name, by which the router distinguishes topics.
pub(crate) const AGGREGATE_TYPE: &str = "order";

/// Returns the key of a number's record.
pub(crate) fn key(number: u64) -> String {
    format!("agg-{}", number % AGGREGATES)
}

/// Returns the number in a record's value.
pub(crate) fn number(value: &[u8]) -> Option<u64> {
    let digits = value.strip_prefix(br#"{"n":"#)?.split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Inserts the rows of the numbers that `source` yields as `n`.
pub(crate) fn insert(table: &str, source: &str) -> String {
    format!(
        "INSERT INTO {table} (id, aggregate_type, aggregate_id, event_type, payload)
         SELECT gen_random_uuid(), '{AGGREGATE_TYPE}', 'agg-' || n % {AGGREGATES}, 'OrderPlaced', bench_payload(n)
         FROM {source}"
    )
}

/// Inserts the row of `number`, a variable of PL/pgSQL.
pub(crate) fn insert_number(table: &str) -> String {
    insert(table, "(SELECT number AS n) AS numbers")
}

/// Emits the message of `number`, with the members of the recommended layout but `tracestate`.
pub(crate) fn emit_number(prefix: &str) -> String {
    format!(
        r#"PERFORM pg_logical_emit_message(true, '{prefix}', json_build_object(
            'id', gen_random_uuid(), 'aggregate_type', '{AGGREGATE_TYPE}', 'aggregate_id', 'agg-' || number % {AGGREGATES},
            'event_type', 'OrderPlaced', 'payload', bench_payload(number)::text,
            'created_at', to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
            'schema_version', 1, 'content_type', '', 'traceparent', '', 'correlation_id', '', 'causation_id', '',
            'headers', '{{}}')::text)"#
    )
}

/// The table of [`BUSINESS`].
pub(crate) const BUSINESS_TABLE: &str =
    "CREATE TABLE account (id bigint PRIMARY KEY, orders bigint NOT NULL) WITH (fillfactor = 50);
    INSERT INTO account SELECT n, 0 FROM generate_series(0, 9999) n";

/// The other statement of a service's transaction, for `number`.
pub(crate) const BUSINESS: &str = "UPDATE account SET orders = orders + 1 WHERE id = number % 10000";

/// Returns the SQL of `bench_payload(n)`, some 180 bytes, and of `bench_fill(first, past, rows_per_transaction)`, which
/// runs statements for each `number`.
pub(crate) fn functions(statements: &str) -> String {
    format!(
        r#"CREATE FUNCTION bench_payload(n bigint) RETURNS json LANGUAGE sql AS $$
            SELECT format(
                '{{"n":%s,"customer":"%s","items":[{{"sku":"%s","quantity":%s,"price":"19.90"}}],"note":"%s"}}',
                n, md5(n::text), left(md5((n + 1)::text), 12), n % 7 + 1, 'leave it at the door with the green frame'
            )::json
        $$;
        CREATE PROCEDURE bench_fill(first bigint, past bigint, rows_per_transaction bigint) LANGUAGE plpgsql AS $$
        BEGIN
            FOR number IN first .. past - 1 LOOP
                {statements};
                IF (number + 1 - first) % rows_per_transaction = 0 THEN
                    COMMIT;
                END IF;
            END LOOP;
            COMMIT;
        END
        $$;"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_found_in_what_was_written() {
        assert_eq!(number(br#"{"n":1234567,"customer":"x"}"#), Some(1_234_567));
        assert_eq!(number(br#"{"n":"7"}"#), None);
        assert_eq!(number(br#"{"m":7}"#), None);
        assert_eq!(key(17 + 6 * AGGREGATES), "agg-17");
    }
}
