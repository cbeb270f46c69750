use super::error::{Error, Kind, Operation};
use super::options::ConnectOptions;
use super::session::{Purpose, Session};
use super::slot::{self, Source};
use super::sql::{identifier, literal};

/// The publication and the replication slot of a source, which can be created if they are missing.
#[derive(Clone, Debug)]
pub struct Creation<'a> {
    source: &'a Source,
    tables: Vec<(&'a str, &'a str)>,
    has_failover: bool,
}

/// The result of a [`Creation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Created {
    /// Whether the publication is new.
    pub publication: bool,
    /// Whether the slot is new.
    pub slot: bool,
}

/// The first version whose slots a standby can synchronize.
const FAILOVER_SLOTS: u32 = 170_000;

impl<'a> Creation<'a> {
    /// Creates a description of a source for tables, each with its schema.
    pub fn new(source: &'a Source, tables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        Self { source, tables: tables.into_iter().collect(), has_failover: false }
    }

    /// Lets standbys synchronize the slot. PostgreSQL up to version 16 has no such slots, and creates one without.
    #[must_use]
    pub fn failover(self) -> Self {
        Self { has_failover: true, ..self }
    }

    /// Creates the publication if it is missing, and then the slot. A slot that is older than its publication would
    /// hold WAL that cannot be read through it.
    ///
    /// Creates nothing if there is no table, unless messages are read, or if one is missing. The slot is ready once the
    /// transactions that run have ended. If that takes longer than the timeout of a statement, the server continues to
    /// create it.
    pub async fn create_missing(&self, options: &ConnectOptions) -> Result<Created, Error> {
        let mut session = Session::open(options, Purpose::Sql).await?;
        let mut created = Created { publication: false, slot: false };
        if !self.has_tables(&mut session).await? {
            return Ok(created);
        }

        let in_recovery = "SELECT 1 WHERE pg_catalog.pg_is_in_recovery()";
        let needs_publication = !slot::has_publication(&mut session, self.source.publication()).await?;
        let needs_slot = session.query(&self.slot_query(), Operation::Query).await?.is_empty();
        if (needs_publication || needs_slot) && !session.query(in_recovery, Operation::Query).await?.is_empty() {
            return Err(Error::new(Kind::Standby { slot: self.source.slot().into() }));
        }

        if needs_publication {
            let sql = self.create_publication();
            let doing = Operation::CreatePublication { publication: self.source.publication(), command: &sql };
            created.publication = unless_it_exists(session.query(&sql, doing).await)?;
        }
        if needs_slot {
            let sql = self.create_slot(&mut session).await?;
            let doing = Operation::CreateSlot { slot: self.source.slot() };
            created.slot = unless_it_exists(session.query(&sql, doing).await)?;
        }
        Ok(created)
    }

    async fn has_tables(&self, session: &mut Session) -> Result<bool, Error> {
        if self.tables.is_empty() {
            return Ok(self.source.has_messages());
        }

        let exists = |(schema, table): &(&str, &str)| {
            format!(
                "EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                 WHERE n.nspname = {} AND c.relname = {})",
                literal(schema),
                literal(table)
            )
        };
        let all: Vec<String> = self.tables.iter().map(exists).collect();
        let sql = format!("SELECT 1 WHERE {}", all.join(" AND "));
        Ok(!session.query(&sql, Operation::Query).await?.is_empty())
    }

    /// Returns a query that has a row if a slot of this name exists, of whatever plugin and database.
    fn slot_query(&self) -> String {
        format!("SELECT 1 FROM pg_catalog.pg_replication_slots WHERE slot_name = {}", literal(self.source.slot()))
    }

    fn create_publication(&self) -> String {
        let name = |(schema, table): &(&str, &str)| format!("{}.{}", identifier(schema), identifier(table));
        let tables: Vec<String> = self.tables.iter().map(name).collect();
        let tables = if tables.is_empty() { String::new() } else { format!(" FOR TABLE {}", tables.join(", ")) };
        format!(
            "CREATE PUBLICATION {}{tables} WITH (publish = 'insert', publish_via_partition_root = true)",
            identifier(self.source.publication()),
        )
    }

    async fn create_slot(&self, session: &mut Session) -> Result<String, Error> {
        let version = session.query("SHOW server_version_num", Operation::Query).await?;
        let version: Option<u32> = version.into_iter().flatten().flatten().next().and_then(|text| text.parse().ok());
        let failover = match version {
            Some(FAILOVER_SLOTS..) if self.has_failover => ", failover => true",
            _ => "",
        };
        let name = literal(self.source.slot());
        Ok(format!("SELECT pg_catalog.pg_create_logical_replication_slot({name}, 'pgoutput'{failover})"))
    }
}

/// Returns whether this session created it: another one may have been faster.
fn unless_it_exists<T>(created: Result<T, Error>) -> Result<bool, Error> {
    match created {
        Ok(_) => Ok(true),
        Err(error) if error.is_duplicate() => Ok(false),
        Err(error) => Err(error),
    }
}
