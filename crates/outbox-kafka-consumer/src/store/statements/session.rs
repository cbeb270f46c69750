//! The statements that follow handlers.

/// The statement that gives the listed settings that handlers have changed the values that the consumer had set, until
/// the transaction ends, and selects their names with the values that the session had before the transaction. It also
/// selects the custom settings (`$2`) that have changed: the view `pg_settings` does not show them. NULL is the default
/// value.
///
/// The first row has no name, and no value after RESET ALL, which also takes away what the consumer has recorded.
///
/// It releases the advisory locks of the session; those of the transaction stay.
pub const RESTORE: &str = "
    SELECT '' AS name, nullif(current_setting('outbox.session', true), '') AS before, pg_advisory_unlock_all()::text AS now
    UNION ALL
    SELECT name, session, set_config(name, bounded, true)
    FROM unnest($1::text[], nullif(current_setting('outbox.session', true), '')::text[],
                nullif(current_setting('outbox.bounded', true), '')::text[]) AS setting (name, session, bounded)
    WHERE current_setting(name) <> bounded
    UNION ALL
    SELECT name, before, NULL
    FROM unnest($2::text[], nullif(current_setting('outbox.custom', true), '')::text[]) AS custom (name, before)
    WHERE coalesce(current_setting(name, true), '') <> before";

/// The part of the statement that a transaction has in addition if it checks all settings.
pub const RESTORE_OTHERS: &str = "
    UNION ALL
    SELECT name, nullif(current_setting('outbox.others', true), '')::jsonb ->> name, NULL
    FROM pg_catalog.pg_settings
    WHERE source = 'session' AND name <> ALL ($1)
      AND name <> ALL ($2) AND name <> ALL ('{transaction_isolation,transaction_read_only,transaction_deferrable}')
      AND setting IS DISTINCT FROM
          coalesce(nullif(current_setting('outbox.others', true), '')::jsonb ->> name, reset_val, '')";

/// The statement that gives these settings these values, unless they have them, and selects the names of those that had
/// another one.
pub const RESET: &str = "
    SELECT name, set_config(name, before, false)
    FROM unnest($1::text[], $2::text[]) AS changed (name, before)
    WHERE CASE
        WHEN before IS NULL
            THEN (SELECT source = 'session' FROM pg_catalog.pg_settings AS found WHERE found.name = changed.name)
        WHEN before = current_setting(name, true) THEN false
        ELSE before <> coalesce((SELECT setting FROM pg_catalog.pg_settings AS found WHERE found.name = changed.name),
                                current_setting(name, true))
    END";
