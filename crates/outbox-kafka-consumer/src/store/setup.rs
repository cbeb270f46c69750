//! Checks of the consumer's tables.

use std::sync::atomic::Ordering;

use deadpool_postgres::tokio_postgres::types::Type;

use super::lease::unread;
use super::schema::VERSION;
use super::statements::Sql;
use super::{Executor, PgError, Row, Store};
use crate::Error;

/// The tables and columns as the newest migration of `schema.rs` leaves them.
const TABLES: [(&str, &[&str]); 8] = [
    ("consumer_member", &["consumer_group", "owner", "topics", "expires_at", "handles"]),
    ("consumer_subscription", &["consumer_group", "topic", "first_partitions"]),
    ("consumer_lease", &["consumer_group", "topic", "partition", "owner", "expires_at"]),
    (
        "consumer_position",
        &[
            "id",
            "consumer_group",
            "topic",
            "partition",
            "topic_id",
            "next_offset",
            "end_offset",
            "epoch",
            "horizon",
            "careful_until",
            "alone_offset",
            "alone_starters",
            "stopped_because",
            "updated_at",
        ],
    ),
    ("consumer_inbox", &["consumer_group", "event_id", "state", "position_id", "record_offset", "handled_at"]),
    (
        "consumer_held",
        &[
            "id",
            "consumer_group",
            "topic",
            "partition",
            "record_offset",
            "event_id",
            "event_type",
            "state",
            "blocks",
            "key_digest",
            "record_key",
            "record_value",
            "header_names",
            "header_values",
            "record_timestamp",
            "attempts",
            "started",
            "kind",
            "error",
            "first_failed_at",
            "last_failed_at",
            "next_attempt_at",
        ],
    ),
    (
        "consumer_request",
        &["id", "consumer_group", "topic", "partition", "held_id", "action", "requested_at", "done_at", "outcome"],
    ),
    ("consumer_pause", &["consumer_group", "topic", "event_type", "reason", "paused_at", "until"]),
];

/// A query of the catalogs only, because other queries fail without USAGE on the schema.
const INSPECT: &str = "
    SELECT wanted.name, class.oid IS NULL,
        coalesce(array_agg(wanted.field) FILTER (WHERE attname IS NULL), '{}'),
        ARRAY(SELECT privilege FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
              WHERE NOT has_table_privilege(class.oid, privilege)),
        coalesce(has_schema_privilege(namespace.oid, 'USAGE'), true), quote_ident(current_user), current_database()::text,
        current_setting('server_encoding') IN ('UTF8', 'SQL_ASCII'),
        current_setting('transaction_read_only')::bool AND NOT pg_is_in_recovery()
    FROM unnest($2::text[], $3::text[]) AS wanted (name, field)
    LEFT JOIN pg_catalog.pg_namespace AS namespace ON nspname = $1
    LEFT JOIN pg_catalog.pg_class AS class ON relnamespace = namespace.oid AND relname = wanted.name
    LEFT JOIN pg_catalog.pg_attribute ON attrelid = class.oid AND attname = wanted.field AND NOT attisdropped
    GROUP BY wanted.name, class.oid, namespace.oid ORDER BY wanted.name";

/// Teams that apply exported files have no record of versions, and the consumer's role need not read it.
const CAN_READ_VERSION: &str = "
    SELECT true FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = relnamespace
    WHERE nspname = $1 AND relname = 'schema_migration' AND has_table_privilege(pg_class.oid, 'SELECT')";

/// The tables as the catalogs describe them.
#[derive(Default)]
struct Findings {
    database: String,
    has_all_characters: bool,
    role: String,
    has_usage: bool,
    /// A default of the role or the database, not a standby, which may be promoted.
    is_read_only: bool,
    /// Tables, and columns of tables that exist.
    missing: Vec<String>,
    /// The tables on which the role lacks a privilege, and which.
    lacking: Vec<(String, Vec<String>)>,
}

impl Store {
    /// Checks that all tables and columns exist, that the role has its privileges on them, and that they have the
    /// version of this program.
    ///
    /// # Errors
    /// One of these is not so ([`Error::is_setup`]), or the catalogs could not be read.
    pub async fn check_setup(&self) -> Result<(), Error> {
        let mut client = self.connection().await?;
        let mut executor = self.on_client(&mut client);
        let findings = self.inspect(&mut executor).await?;
        self.has_all_characters.store(findings.has_all_characters, Ordering::Relaxed);
        let mut problems = findings.problems(&self.schema.to_string());
        if findings.has_usage {
            problems.extend(self.version_problem(&mut executor).await?);
        }
        if problems.is_empty() {
            return Ok(());
        }

        Err(Error::setup(format!(
            "the consumer's tables in schema {} of database {} are not ready: {}. Run \
             consumer.migrations().apply(&mut client) at deployment, which creates and updates them",
            self.schema,
            findings.database,
            problems.join("; ")
        )))
    }

    async fn inspect(&self, executor: &mut Executor<'_>) -> Result<Findings, Error> {
        let (tables, columns): (Vec<&str>, Vec<&str>) =
            TABLES.iter().flat_map(|(table, columns)| columns.iter().map(move |column| (*table, *column))).unzip();
        let sql = Sql { text: INSPECT.to_owned(), types: vec![Type::TEXT, Type::TEXT_ARRAY, Type::TEXT_ARRAY] };
        let rows = executor.query(&sql, &[&self.schema.as_str(), &tables, &columns]).await;
        let rows = rows.map_err(|e| Error::store("describe the consumer's tables", e))?;

        let mut findings = Findings::default();
        rows.iter().try_for_each(|row| findings.add(row)).map_err(unread)?;
        Ok(findings)
    }

    async fn version_problem(&self, executor: &mut Executor<'_>) -> Result<Option<String>, Error> {
        let failed = |e| Error::store("read the version of the consumer's tables", e);
        let sql = Sql { text: CAN_READ_VERSION.to_owned(), types: vec![Type::TEXT] };
        if executor.query_opt(&sql, &[&self.schema.as_str()]).await.map_err(failed)?.is_none() {
            return Ok(None);
        }

        let text = format!("SELECT max(version) FROM {}.schema_migration WHERE component = 'consumer'", self.schema);
        let row = executor.query_opt(&Sql { text, types: Vec::new() }, &[]).await.map_err(failed)?;
        let version: Option<i32> = row.map(|row| row.try_get(0)).transpose().map_err(unread)?.flatten();
        Ok(version.filter(|version| *version != VERSION).map(|version| {
            let remedy = if version > VERSION { ": run the newer version of this program" } else { "" };
            format!("their schema version is {version}, and this program needs {VERSION}{remedy}")
        }))
    }
}

impl Findings {
    fn add(&mut self, row: &Row) -> Result<(), PgError> {
        let table: String = row.try_get(0)?;
        let (is_missing, columns, lacking): (bool, Vec<String>, Vec<String>) =
            (row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
        (self.has_usage, self.role, self.database) = (row.try_get(4)?, row.try_get(5)?, row.try_get(6)?);
        (self.has_all_characters, self.is_read_only) = (row.try_get(7)?, row.try_get(8)?);

        if is_missing {
            self.missing.push(table);
            return Ok(());
        }
        self.missing.extend(columns.iter().map(|column| format!("{table}.{column}")));
        if !lacking.is_empty() {
            self.lacking.push((table, lacking));
        }
        Ok(())
    }

    /// Returns the problems, each with the command that solves it.
    fn problems(&self, schema: &str) -> Vec<String> {
        let (role, mut problems) = (&self.role, Vec::new());
        if self.is_read_only {
            problems.push(format!(
                "transactions of role {role} are read-only (set default_transaction_read_only = off by ALTER ROLE or \
                 ALTER DATABASE {}, wherever it is on)",
                self.database
            ));
        }
        if !self.missing.is_empty() {
            problems.push(format!("{} missing", self.missing.join(", ")));
        }

        if !self.has_usage {
            problems.push(format!("role {role} lacks USAGE (run GRANT USAGE ON SCHEMA {schema} TO {role})"));
        }

        if !self.lacking.is_empty() {
            let each: Vec<_> =
                self.lacking.iter().map(|(table, lacks)| format!("{} on {table}", lacks.join(", "))).collect();
            let tables: Vec<_> = self.lacking.iter().map(|(table, _)| format!("{schema}.{table}")).collect();
            problems.push(format!(
                "role {role} lacks {} (run GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {role})",
                each.join(" and "),
                tables.join(", ")
            ));
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use outbox_core::Identifier;
    use outbox_test_support::TestEnv;

    use super::*;

    #[tokio::test]
    async fn the_checked_columns_are_those_of_the_newest_migration() {
        let env = TestEnv::builder().database().build().await;
        let mut client = env.client().await;
        let schema = Identifier::new("outbox").unwrap();
        let applied = crate::store::migrations(&schema).apply(&mut client).await.unwrap();
        assert_eq!(applied.versions.last(), Some(&VERSION));

        let sql = "SELECT table_name::text, column_name::text FROM information_schema.columns
                   WHERE table_schema = 'outbox' AND table_name LIKE 'consumer%'";
        let rows = client.query(sql, &[]).await.unwrap();
        let found: BTreeSet<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let column = |table: &str, column: &str| (table.to_owned(), column.to_owned());
        let checked = TABLES.iter().flat_map(|(table, columns)| columns.iter().map(|name| column(table, name)));
        assert_eq!(checked.collect::<BTreeSet<_>>(), found);
    }
}
