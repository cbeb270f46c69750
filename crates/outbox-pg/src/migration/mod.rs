mod maintenance;
mod outbox;
mod plan;
pub(crate) mod row_life;

use outbox_core::{Identifier, RowLife, TableLayout};
use tokio_postgres::{Client, GenericClient, IsolationLevel, Transaction};

pub use self::plan::MigrationPlan;

use self::row_life::Triggers;
use crate::Error;
use crate::literal::literal;

/// One step of a schema. It is never changed once it was applied somewhere: what comes later is its own step.
#[derive(Clone, Debug)]
pub struct Migration {
    version: i32,
    name: String,
    sql: String,
}

impl Migration {
    /// Creates a step with its place in the order, from 1, a name for people, and its SQL: any number of statements
    /// that can run in a transaction.
    pub fn new(version: i32, name: impl Into<String>, sql: impl Into<String>) -> Self {
        Self { version, name: name.into(), sql: sql.into() }
    }
}

/// The steps of one component, recorded in the table `schema_migration` with a checksum of their SQL.
///
/// They run in one transaction, one instance at a time, however many start at once. A step whose SQL is not what was
/// applied is refused, and so is a database that has steps which this program does not know. Nothing is dropped,
/// renamed or created again.
#[derive(Clone, Debug)]
pub struct Migrations {
    component: String,
    schema: Identifier,
    steps: Vec<Migration>,
    /// The table whose triggers are kept as its rows' life says.
    rows_of: Option<TableLayout>,
    /// The publication that is all that the steps create. It shows by itself whether they were applied.
    publication: Option<Identifier>,
}

/// The outcome of [`Migrations::apply`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// The versions that were applied now; none where the schema was up to date.
    pub versions: Vec<i32>,
    /// The life that rows have from now on, where the table had another, or its triggers were not as this version makes
    /// them.
    pub row_life: Option<RowLife>,
}

/// Held by the instance that migrates; the number is arbitrary and ours.
const LOCK: i64 = 0x6f75_7462_6f78;

impl Migrations {
    /// Steps of a component, in the order of their versions, in the schema that holds `schema_migration`. The schema is
    /// created where it is missing.
    pub fn new(component: impl Into<String>, schema: Identifier, steps: Vec<Migration>) -> Self {
        Self { component: component.into(), schema, steps, rows_of: None, publication: None }
    }

    /// Applies what is missing.
    ///
    /// # Errors
    /// PostgreSQL refused a step, which leaves everything as it was; or applied steps and these are at odds,
    /// [`Error::is_migration_conflict`].
    pub async fn apply(&self, client: &mut Client) -> Result<Applied, Error> {
        let doing = |what: &str| format!("{what} for the migrations of {}", self.component);
        if self.publication.is_some() {
            return self.apply_unrecorded(client).await;
        }
        // With a stricter default the snapshot would be older than the lock.
        let tx = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await;
        let tx = tx.map_err(|e| Error::database(doing("begin a transaction"), e))?;
        self.open(&tx).await.map_err(|e| Error::database(doing("open schema_migration"), e))?;
        let applied = self.applied(&tx).await?;
        let mut versions = Vec::new();
        for step in &self.steps {
            if applied.contains(&step.version) {
                continue;
            }
            let name = format!("run migration {} {} ({})", self.component, step.version, step.name);
            tx.batch_execute(&step.sql).await.map_err(|e| Error::database(name, e))?;
            tx.batch_execute(&self.record(step)).await.map_err(|e| Error::database(doing("record a step"), e))?;
            versions.push(step.version);
        }
        let row_life = self.switch_life(&tx).await?;
        tx.commit().await.map_err(|e| Error::database(doing("commit"), e))?;
        Ok(Applied { versions, row_life })
    }

    async fn apply_unrecorded(&self, client: &Client) -> Result<Applied, Error> {
        let mut versions = Vec::new();
        for step in self.unapplied(client).await? {
            let name = format!("run migration {} {} ({})", self.component, step.version, step.name);
            client.batch_execute(&step.sql).await.map_err(|e| Error::database(name, e))?;
            versions.push(step.version);
        }
        Ok(Applied { versions, row_life: None })
    }

    /// Returns the steps that are not recorded and not applied.
    async fn unapplied(&self, client: &Client) -> Result<&[Migration], Error> {
        let Some(publication) = &self.publication else { return Ok(&[]) };
        let row = client.query_opt("SELECT FROM pg_publication WHERE pubname = $1", &[&publication.as_str()]).await;
        let row = row.map_err(|e| Error::database(format!("look for the publication {publication}"), e))?;
        Ok(if row.is_some() { &[] } else { &self.steps })
    }

    async fn switch_life(&self, tx: &Transaction<'_>) -> Result<Option<RowLife>, Error> {
        let Some(layout) = &self.rows_of else { return Ok(None) };
        if row_life::triggers_of(tx, layout).await? == Triggers::AsWanted {
            return Ok(None);
        }
        // It waits for the transactions that are writing, and those that come wait for it.
        let sql = format!("SET LOCAL lock_timeout = '5s';\n{}", row_life::switch_sql(layout));
        let doing = || format!("change the life of the rows of {}", layout.qualified_name());
        tx.batch_execute(&sql).await.map_err(|e| Error::database(doing(), e))?;
        Ok(Some(layout.row_life()))
    }

    async fn open(&self, tx: &Transaction<'_>) -> Result<(), tokio_postgres::Error> {
        tx.batch_execute(&self.open_sql()).await
    }

    fn open_sql(&self) -> String {
        format!(
            "SELECT pg_advisory_xact_lock({LOCK});
             {create_schema};
             {create_table};",
            create_schema = self.create_schema(),
            create_table = self.create_table(),
        )
    }

    /// Returns the SQL that creates the schema if it is missing. `CREATE SCHEMA IF NOT EXISTS` wants the right to
    /// create schemas even where there is nothing to create.
    fn create_schema(&self) -> String {
        let body = format!(
            "BEGIN IF to_regnamespace({}) IS NULL THEN CREATE SCHEMA {}; END IF; END",
            literal(&self.schema.to_string()),
            self.schema
        );
        format!("DO {}", literal(&body))
    }

    /// Returns the statement for the table of migrations. As for the schema, nothing to create needs no right to
    /// create.
    fn create_table(&self) -> String {
        let body = format!(
            "BEGIN IF to_regclass({name}) IS NULL THEN CREATE TABLE {table} (
                 component text NOT NULL,
                 version integer NOT NULL,
                 name text NOT NULL,
                 checksum text NOT NULL,
                 applied_at timestamptz NOT NULL DEFAULT clock_timestamp(),
                 PRIMARY KEY (component, version)
             ); END IF; END",
            name = literal(&format!("{}.schema_migration", self.schema)),
            table = format_args!("{}.schema_migration", self.schema),
        );
        format!("DO {}", literal(&body))
    }

    async fn applied(&self, client: &impl GenericClient) -> Result<Vec<i32>, Error> {
        let doing = || format!("read the applied migrations of {}", self.component);
        let sql = format!("SELECT version, checksum FROM {}.schema_migration WHERE component = $1", self.schema);
        let rows = client.query(&sql, &[&self.component]).await.map_err(|e| Error::database(doing(), e))?;
        let mut applied = Vec::new();
        for row in rows {
            let (version, theirs): (i32, String) = (row.get(0), row.get(1));
            let Some(step) = self.steps.iter().find(|step| step.version == version) else {
                let reason = "it was applied by a newer version of this program: run that one";
                return Err(Error::migration(&self.component, version, reason));
            };
            let ours: String = client
                .query_one(&format!("SELECT {}", checksum("$1")), &[&step.sql])
                .await
                .map_err(|e| Error::database(doing(), e))?
                .get(0);
            if ours != theirs {
                let reason = "it was applied with other SQL: with other names, another layout, or another version of this program";
                return Err(Error::migration(&self.component, version, reason));
            }
            applied.push(version);
        }
        Ok(applied)
    }
}

fn checksum(text: &str) -> String {
    format!("encode(sha256(convert_to({text}::text, 'UTF8')), 'hex')")
}
