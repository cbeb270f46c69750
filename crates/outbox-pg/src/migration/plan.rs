use std::fmt;

use outbox_core::{Pipeline, TableLayout};
use tokio_postgres::Client;

use super::{Migration, Migrations, NEWER, Newer, OTHER_SQL, Pending, checksum, row_life};
use crate::Error;
use crate::ownership;
use crate::session::Session;
use crate::sql_text::literal;

/// The SQL that [`Migrations::apply`] would run. `Display` is a script for `psql`, which does the same as `apply`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationPlan {
    versions: Vec<i32>,
    statements: Vec<String>,
    by_hand: Vec<String>,
    newer: Option<i32>,
}

impl MigrationPlan {
    fn unrecorded(steps: &[Migration]) -> Self {
        Self {
            versions: steps.iter().map(|step| step.version).collect(),
            statements: steps.iter().map(|step| step.sql.clone()).collect(),
            by_hand: Vec::new(),
            newer: None,
        }
    }

    /// Returns whether there is nothing to do, also [by hand](Self::by_hand).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty() && self.by_hand.is_empty()
    }

    /// Returns the newest version that a newer program has applied. This one changes nothing then.
    #[must_use]
    pub fn newer(&self) -> Option<i32> {
        self.newer
    }

    /// Returns the ALTERs that bring the table in line with its layout, and that [`Migrations::apply`] does not run:
    /// they read or rewrite all rows while writers wait, or fail because of rows. The script has them as comments.
    #[must_use]
    pub fn by_hand(&self) -> &[String] {
        &self.by_hand
    }

    /// Returns the versions that are missing in the database.
    #[must_use]
    pub fn versions(&self) -> &[i32] {
        &self.versions
    }
}

impl fmt::Display for MigrationPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(version) = self.newer {
            return writeln!(f, "-- A newer program has applied version {version}: this one changes nothing.");
        }
        if self.is_empty() {
            return f.write_str("-- There is nothing to do.\n");
        }

        if !self.statements.is_empty() {
            f.write_str("BEGIN;\n")?;
            self.statements.iter().try_for_each(|statement| writeln!(f, "{};", statement.trim_end_matches(';')))?;
            f.write_str("COMMIT;\n")?;
        }
        if !self.by_hand.is_empty() {
            f.write_str("-- To be run by hand, because writers wait for it meanwhile, or rows may be in the way:\n")?;
        }
        self.by_hand.iter().try_for_each(|statement| writeln!(f, "-- {statement};"))
    }
}

impl Migrations {
    /// Returns what [`apply`](Self::apply) would run on this database. It changes nothing, and needs only to read.
    ///
    /// # Errors
    /// As [`apply`](Self::apply), also if the database is newer than this program, or an existing object belongs to
    /// another role.
    pub async fn plan(&self, client: &Client) -> Result<MigrationPlan, Error> {
        self.plan_on(&client.into()).await
    }

    /// Returns the statements that [`apply`](Self::apply) would run now, and runs none of them.
    pub(crate) async fn plan_on(&self, client: &Session<'_>) -> Result<MigrationPlan, Error> {
        if self.publication.is_some() {
            return Ok(MigrationPlan::unrecorded(self.unapplied(client).await?));
        }
        let unread = |e| Error::database(format!("read the migrations of {}", self.component), e);
        let table = format!("{}.schema_migration", self.schema);
        let is_open: bool =
            client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await.map_err(unread)?.get(0);
        let applied = if is_open { self.applied(client).await? } else { Vec::new() };
        let pending = self.pending(client, &applied).await?;
        self.expect_trusted(client, &pending).await?;

        let mut statements = Vec::new();
        if !pending.missing.is_empty() {
            statements.push(self.open_sql());
        }
        if !pending.is_empty() {
            statements.extend(self.refuse_foreign());
        }

        statements.extend(pending.missing.iter().flat_map(|step| [step.sql.clone(), self.record(step)]));
        statements.extend(pending.drift.additions);
        if let Some(layout) = self.outbox.as_ref().map(Pipeline::layout)
            && pending.has_other_triggers
        {
            statements.push(row_life::switch_sql(layout));
        }
        let versions = pending.missing.iter().map(|step| step.version).collect();
        Ok(MigrationPlan { versions, statements, by_hand: pending.drift.by_hand, newer: pending.newer })
    }

    /// Checks the owners of the objects that the steps use. Whether the present role may change it shows when the
    /// script runs.
    async fn expect_trusted(&self, client: &Session<'_>, pending: &Pending<'_>) -> Result<(), Error> {
        match &self.guarded {
            Some(layout) if !pending.is_empty() => ownership::expect_trusted(client, layout).await,
            _ => Ok(()),
        }
    }

    /// Returns what [`apply`](Self::apply) runs on an empty database.
    #[must_use]
    pub fn script(&self) -> MigrationPlan {
        if self.publication.is_some() {
            return MigrationPlan::unrecorded(&self.steps);
        }

        let steps = self.steps.iter().flat_map(|step| [step.sql.clone(), self.record(step)]);
        let layout = self.outbox.as_ref().map(Pipeline::layout);
        let switched = layout.filter(|layout| layout.row_life().vanishes()).map(row_life::switch_sql);
        MigrationPlan {
            versions: self.steps.iter().map(|step| step.version).collect(),
            statements: std::iter::once(self.open_sql())
                .chain(self.refuse_foreign())
                .chain(steps)
                .chain(switched)
                .collect(),
            by_hand: Vec::new(),
            newer: None,
        }
    }

    /// Returns a script with the effect of [`apply`](Self::apply), for another driver.
    ///
    /// Send it as one simple query, such as by `pool.execute(AssertSqlSafe(script))` of sqlx: PostgreSQL runs it in one
    /// transaction. It fails with an exception if applied steps conflict with these, or an existing object belongs to
    /// another role. It does not compare the table's columns. If rows of the table [vanish](outbox_core::RowLife), it
    /// creates their triggers again, which waits up to 5 s for transactions that write to the table.
    #[must_use]
    pub fn apply_script(&self) -> String {
        if self.publication.is_some() {
            return self.steps.iter().map(|step| format!("{};\n", step.sql)).collect();
        }

        let mut statements = vec!["SET TRANSACTION ISOLATION LEVEL READ COMMITTED".to_owned(), self.open_sql()];
        if self.newer == Newer::Refuse {
            statements.push(self.refuse_newer());
        }

        statements.extend(self.guarded.as_ref().map(|layout| self.refuse_foreign_if_due(layout)));
        statements.extend(self.steps.iter().map(|step| self.apply_if_missing(step)));
        let layout = self.outbox.as_ref().map(Pipeline::layout);
        if let Some(layout) = layout.filter(|layout| layout.row_life().vanishes()) {
            let body = format!(
                "BEGIN IF NOT EXISTS (SELECT FROM {}.schema_migration WHERE component = {} AND version > {})
                 THEN EXECUTE {}; END IF; END",
                self.schema,
                literal(&self.component),
                self.latest,
                literal(&row_life::switch_sql(layout)),
            );
            statements.push(format!("SET LOCAL lock_timeout = '5s';\nDO {}", literal(&body)));
        }

        statements.iter().map(|statement| format!("{};\n", statement.trim_end_matches(';'))).collect()
    }

    fn refuse_newer(&self) -> String {
        let versions: Vec<_> = self.steps.iter().map(|step| step.version.to_string()).collect();
        let body = format!(
            "BEGIN IF EXISTS (SELECT FROM {}.schema_migration WHERE component = {component}
                   AND version <> ALL ('{{{}}}'::integer[]))
             THEN RAISE EXCEPTION 'migrations of %: {NEWER}', {component}; END IF; END",
            self.schema,
            versions.join(","),
            component = literal(&self.component),
        );
        format!("DO {}", literal(&body))
    }

    /// Returns the statement that rejects objects of other roles.
    pub(super) fn refuse_foreign(&self) -> Option<String> {
        let refuse = ownership::refuse(self.guarded.as_ref()?);
        Some(format!("DO {}", literal(&format!("DECLARE item record; BEGIN {refuse} END"))))
    }

    /// Returns the statement that rejects objects of other roles, if there is something to do.
    fn refuse_foreign_if_due(&self, layout: &TableLayout) -> String {
        let of_component =
            format!("FROM {}.schema_migration WHERE component = {} AND version", self.schema, literal(&self.component));
        let versions: Vec<_> = self.steps.iter().map(|step| step.version.to_string()).collect();
        let lacks_steps = format!("(SELECT count(*) {of_component} IN ({})) < {}", versions.join(", "), versions.len());
        let switches_life = match self.outbox.is_some() && layout.row_life().vanishes() {
            true => format!("NOT EXISTS (SELECT {of_component} > {})", self.latest),
            false => "false".to_owned(),
        };

        let refuse = ownership::refuse(layout);
        let body = format!(
            "DECLARE item record; BEGIN IF {lacks_steps} OR {switches_life} THEN
             {refuse}
             END IF; END"
        );
        format!("DO {}", literal(&body))
    }

    /// Returns a block that applies a step once, so that the script can be run again. A step that was applied with
    /// other SQL is an error.
    fn apply_if_missing(&self, step: &Migration) -> String {
        let body = format!(
            "DECLARE known text;
             BEGIN
                 SELECT checksum INTO known FROM {schema}.schema_migration
                 WHERE component = {component} AND version = {version};
                 IF known IS NULL THEN
                     EXECUTE {sql};
                     {record};
                 ELSIF known <> {checksum} THEN
                     RAISE EXCEPTION 'migration % {version}: {OTHER_SQL}', {component};
                 END IF;
             END",
            schema = self.schema,
            component = literal(&self.component),
            version = step.version,
            sql = literal(&step.sql),
            record = self.record(step),
            checksum = checksum(&literal(step.identity())),
        );
        format!("DO {}", literal(&body))
    }

    pub(super) fn record(&self, step: &Migration) -> String {
        format!(
            "INSERT INTO {}.schema_migration (component, version, name, checksum) VALUES ({}, {}, {}, {})",
            self.schema,
            literal(&self.component),
            step.version,
            literal(&step.name),
            checksum(&literal(step.identity())),
        )
    }
}
