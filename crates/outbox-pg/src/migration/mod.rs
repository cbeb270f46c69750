mod columns;
mod components;
mod export;
mod plan;
pub(crate) mod row_life;
mod shipped;
mod step;
mod uninstall;

use outbox_core::{Identifier, Pipeline, RowLife, TableLayout};
use tokio_postgres::{Client, IsolationLevel};

pub use self::plan::MigrationPlan;
pub use self::step::Migration;
pub use self::uninstall::uninstall_sql;

use self::columns::Drift;
use self::row_life::Triggers;
use crate::session::{DriverError, Session};
use crate::sql_text::literal;
use crate::{Error, ownership};

/// The steps of one component, recorded in the table `schema_migration` with a checksum of their SQL.
///
/// They run in one transaction, one instance at a time, however many start at once. A step whose SQL differs from the
/// applied one is rejected, and so is a database that has steps which this program does not know, unless they are those
/// of an [`outbox`](Self::outbox). Nothing is dropped or renamed; [`uninstall_sql`] is the script for that.
#[derive(Clone, Debug)]
pub struct Migrations {
    component: String,
    schema: Identifier,
    steps: Vec<Migration>,
    /// The newest version that this program knows.
    latest: i32,
    newer: Newer,
    /// The pipeline whose table, publication and triggers are compared with the catalogs.
    outbox: Option<Pipeline>,
    /// The table whose owner must own everything that the steps use.
    guarded: Option<TableLayout>,
    /// The publication, if it is all that the steps create. Its existence shows whether they were applied.
    publication: Option<Identifier>,
}

/// The treatment of a database that has steps of a newer program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Newer {
    /// It is rejected.
    Refuse,
    /// Nothing is changed, and this program continues to work: the shipped steps only add.
    LeaveAlone,
}

/// The outcome of [`Migrations::apply`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// The versions that were applied now; empty if the schema was up to date.
    pub versions: Vec<i32>,
    /// The new row life, if the table had another one, or its triggers were not those of this version.
    pub row_life: Option<RowLife>,
    /// The additional statements that were run, because the table lacked a column of the layout, or the publication was
    /// missing.
    pub statements: Vec<String>,
    /// The newest version that a newer program has applied. Nothing was changed then.
    pub newer: Option<i32>,
}

/// The differences between the database and the steps.
struct Pending<'a> {
    missing: Vec<&'a Migration>,
    drift: Drift,
    has_other_triggers: bool,
    newer: Option<i32>,
}

impl Pending<'_> {
    fn is_empty(&self) -> bool {
        self.missing.is_empty() && self.drift.additions.is_empty() && !self.has_other_triggers
    }
}

/// The advisory lock that the migrating instance holds. The number is arbitrary.
const LOCK: i64 = 0x6f75_7462_6f78;

const NEWER: &str = "it was applied by a newer version of this program: run that one";
const OTHER_SQL: &str =
    "it was applied with other SQL: with other names, another layout, or another version of this program";

impl Migrations {
    /// Steps of a component, in the order of their versions, in the schema that holds `schema_migration`. The schema is
    /// created if it is missing.
    pub fn new(component: impl Into<String>, schema: Identifier, steps: Vec<Migration>) -> Self {
        let latest = steps.iter().map(|step| step.version).max().unwrap_or_default();
        let (newer, outbox, guarded, publication) = (Newer::Refuse, None, None, None);
        Self { component: component.into(), schema, steps, latest, newer, outbox, guarded, publication }
    }

    /// Applies the missing steps.
    ///
    /// # Errors
    /// PostgreSQL refused a step, which leaves everything as it was; applied steps conflict with these,
    /// [`Error::is_migration_conflict`]; or an existing object belongs to another role, [`Error::is_not_ready`].
    pub async fn apply(&self, client: &mut Client) -> Result<Applied, Error> {
        let doing = |what: &str| format!("{what} for the migrations of {}", self.component);
        if self.publication.is_some() {
            return self.apply_unrecorded(&(&*client).into()).await;
        }
        // At a stricter isolation level, the snapshot would be older than the lock.
        let tx = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await;
        let tx = tx.map_err(|e| Error::database(doing("begin a transaction"), e))?;
        let applied = self.apply_in(&Session::Transaction(&tx)).await?;
        tx.commit().await.map_err(|e| Error::database(doing("commit"), e))?;
        Ok(applied)
    }

    /// Returns whether nothing but the publication is created, which takes no transaction.
    #[cfg(feature = "sqlx")]
    pub(crate) fn is_unrecorded(&self) -> bool {
        self.publication.is_some()
    }

    /// Applies the missing steps within a transaction at READ COMMITTED.
    pub(crate) async fn apply_in(&self, tx: &Session<'_>) -> Result<Applied, Error> {
        let doing = |what: &str| format!("{what} for the migrations of {}", self.component);
        self.open(tx).await.map_err(|e| Error::database(doing("open schema_migration"), e))?;

        let pending = self.pending(tx, &self.applied(tx).await?).await?;
        let mut applied = Applied { newer: pending.newer, ..Applied::default() };

        if !pending.is_empty() {
            self.expect_owner(tx).await?;
            for step in &pending.missing {
                let name = format!("run migration {} {} ({})", self.component, step.version, step.name);
                tx.batch_execute(&step.sql).await.map_err(|e| Error::database(name, e))?;
                tx.batch_execute(&self.record(step)).await.map_err(|e| Error::database(doing("record a step"), e))?;
                applied.versions.push(step.version);
            }

            // A step may have done a part of this.
            applied.statements = self.drift(tx).await?.additions;
            for statement in &applied.statements {
                let sql = format!("SET LOCAL lock_timeout = '5s'; {statement}");
                let name = || format!("run {statement}");
                tx.batch_execute(&sql).await.map_err(|e| Error::database(name(), e))?;
            }
            applied.row_life = self.switch_life(tx).await?;
        }
        Ok(applied)
    }

    /// Compares the database with the steps and the pipeline, apart from those that were applied.
    async fn pending(&self, client: &Session<'_>, applied: &[i32]) -> Result<Pending<'_>, Error> {
        let newer = applied.iter().copied().max().filter(|version| *version > self.latest);
        if newer.is_some() {
            // Objects of a newer program are left as they are.
            return Ok(Pending { missing: Vec::new(), drift: Drift::default(), has_other_triggers: false, newer });
        }

        let missing: Vec<_> = self.steps.iter().filter(|step| !applied.contains(&step.version)).collect();
        let mut drift = self.drift(client).await?;
        drift.additions.retain(|addition| !missing.iter().any(|step| step.sql.contains(addition.as_str())));
        let has_other_triggers = match &self.outbox {
            Some(pipeline) => row_life::triggers_of(client, pipeline.layout()).await? != Triggers::AsWanted,
            None => false,
        };
        Ok(Pending { missing, drift, has_other_triggers, newer })
    }

    /// Compares the table and the publication with the pipeline.
    async fn drift(&self, client: &Session<'_>) -> Result<Drift, Error> {
        let Some(pipeline) = &self.outbox else { return Ok(Drift::default()) };
        let mut drift = columns::drift(client, pipeline.layout()).await?;
        let sql = "SELECT to_regclass($1) IS NOT NULL AND NOT EXISTS (SELECT FROM pg_publication WHERE pubname = $2)";
        let params: [&(dyn tokio_postgres::types::ToSql + Sync); 2] =
            [&pipeline.layout().qualified_name(), &pipeline.publication().as_str()];
        let row = client.query_one(sql, &params).await;
        if row.map_err(|e| Error::database("look for the publication", e))?.get(0) {
            drift.additions.push(shipped::create_publication(pipeline));
        }
        Ok(drift)
    }

    async fn expect_owner(&self, tx: &Session<'_>) -> Result<(), Error> {
        let Some(layout) = &self.guarded else { return Ok(()) };
        match ownership::problems_of_migration(tx, layout).await? {
            problems if problems.is_empty() => Ok(()),
            problems => Err(Error::not_ready(problems)),
        }
    }

    pub(crate) async fn apply_unrecorded(&self, client: &Session<'_>) -> Result<Applied, Error> {
        let mut versions = Vec::new();
        for step in self.unapplied(client).await? {
            let name = format!("run migration {} {} ({})", self.component, step.version, step.name);
            // Both run in one transaction, so that another instance that starts waits for its end.
            let sql = format!("SELECT pg_advisory_xact_lock({LOCK}); {}", step.sql);
            client.batch_execute(&sql).await.map_err(|e| Error::database(name, e))?;
            versions.push(step.version);
        }
        Ok(Applied { versions, ..Applied::default() })
    }

    /// Returns the steps that are not recorded and not applied.
    async fn unapplied(&self, client: &Session<'_>) -> Result<&[Migration], Error> {
        let Some(publication) = &self.publication else { return Ok(&[]) };
        let row = client.query_opt("SELECT FROM pg_publication WHERE pubname = $1", &[&publication.as_str()]).await;
        let row = row.map_err(|e| Error::database(format!("look for the publication {publication}"), e))?;
        Ok(if row.is_some() { &[] } else { &self.steps })
    }

    async fn switch_life(&self, tx: &Session<'_>) -> Result<Option<RowLife>, Error> {
        let Some(layout) = self.outbox.as_ref().map(Pipeline::layout) else { return Ok(None) };
        if row_life::triggers_of(tx, layout).await? == Triggers::AsWanted {
            return Ok(None);
        }
        // It waits for the transactions that are writing, and those that come wait for it.
        let sql = format!("SET LOCAL lock_timeout = '5s';\n{}", row_life::switch_sql(layout));
        let doing = || format!("change the life of the rows of {}", layout.qualified_name());
        tx.batch_execute(&sql).await.map_err(|e| Error::database(doing(), e))?;
        Ok(Some(layout.row_life()))
    }

    async fn open(&self, tx: &Session<'_>) -> Result<(), DriverError> {
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

    /// Returns the SQL that creates the schema if it is missing. `CREATE SCHEMA IF NOT EXISTS` needs the privilege to
    /// create schemas even if the schema exists.
    fn create_schema(&self) -> String {
        let body = format!(
            "BEGIN IF to_regnamespace({}) IS NULL THEN CREATE SCHEMA {}; END IF; END",
            literal(&self.schema.to_string()),
            self.schema
        );
        format!("DO {}", literal(&body))
    }

    /// Returns the statement for the table of migrations. As for the schema, nothing to create needs no privilege to
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

    /// Reads the versions that the database records. Fails if a step was applied with other SQL, or is newer than this
    /// library and newer ones are refused.
    async fn applied(&self, client: &Session<'_>) -> Result<Vec<i32>, Error> {
        let doing = || format!("read the applied migrations of {}", self.component);
        let sql = format!(
            "SELECT version::integer, checksum::text FROM {}.schema_migration WHERE component = $1",
            self.schema
        );
        let rows = client.query(&sql, &[&self.component]).await.map_err(|e| Error::database(doing(), e))?;
        let mut applied = Vec::new();

        for row in rows {
            let (version, theirs): (i32, String) = (row.get(0), row.get(1));
            let Some(step) = self.steps.iter().find(|step| step.version == version) else {
                if self.newer == Newer::Refuse {
                    return Err(Error::migration(&self.component, version, NEWER));
                }
                applied.push(version);
                continue;
            };
            let ours: String = client
                .query_one(&format!("SELECT {}", checksum("$1")), &[&step.identity()])
                .await
                .map_err(|e| Error::database(doing(), e))?
                .get(0);

            if ours != theirs {
                return Err(Error::migration(&self.component, version, OTHER_SQL));
            }
            applied.push(version);
        }
        Ok(applied)
    }
}

fn checksum(text: &str) -> String {
    format!("encode(sha256(convert_to({text}::text, 'UTF8')), 'hex')")
}
