//! The settings of its database session that a handler may change, and how that is undone before others use the
//! session.

/// The settings that change what later statements do, who runs them or how long they may take. The first one resets the
/// second one.
pub const SETTINGS: [&str; 17] = [
    "session_authorization",
    "role",
    "search_path",
    "session_replication_role",
    "row_security",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "default_transaction_deferrable",
    "synchronous_commit",
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "application_name",
    "client_encoding",
    "TimeZone",
    "DateStyle",
    "IntervalStyle",
];

/// Releases the advisory locks that an earlier handler of the session has left.
pub const UNLOCK: &str = "SELECT pg_advisory_unlock_all()";

/// Returns the statement that records the settings as they are in a setting of this name, until the transaction ends.
pub fn record_as(name: &str) -> String {
    let settings = SETTINGS.join(",");
    format!(
        "SELECT set_config('outbox.{name}', ARRAY(SELECT current_setting(name) \
         FROM unnest('{{{settings}}}'::text[]) AS name)::text, true)"
    )
}

/// The statement that undoes what handlers have changed, and selects the names of those settings.
///
/// SET and SET LOCAL look the same until the transaction ends. Therefore a changed setting gets the value that the
/// session had before the transaction, and within the transaction the value that the consumer had set. Advisory locks
/// of the session are released; those of the transaction stay.
pub const RESTORE: &str = "
    SELECT '' AS name, pg_advisory_unlock_all()::text
    UNION ALL
    SELECT name, set_config(name, session, false)
                 || CASE WHEN bounded <> session THEN set_config(name, bounded, true) ELSE '' END
    FROM unnest($1::text[], nullif(current_setting('outbox.session', true), '')::text[],
                nullif(current_setting('outbox.bounded', true), '')::text[]) AS setting (name, session, bounded)
    WHERE current_setting(name) <> bounded";
