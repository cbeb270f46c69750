use std::fmt;
use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use tokio_postgres::Client;

use super::row_life::Triggers;
use super::{Migration, Migrations, checksum, row_life};
use crate::Error;
use crate::literal::literal;

/// The SQL that [`Migrations::apply`] would run. `Display` is a script for `psql`, which does the same as `apply`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationPlan {
    versions: Vec<i32>,
    statements: Vec<String>,
}

impl MigrationPlan {
    /// Returns whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.statements.is_empty()
    }

    /// Returns the versions that are missing in the database.
    #[must_use]
    pub fn versions(&self) -> &[i32] {
        &self.versions
    }
}

impl fmt::Display for MigrationPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-- There is nothing to do.\n");
        }
        f.write_str("BEGIN;\n")?;
        self.statements.iter().try_for_each(|statement| writeln!(f, "{};", statement.trim_end_matches(';')))?;
        f.write_str("COMMIT;\n")
    }
}

impl Migrations {
    /// Returns what [`apply`](Self::apply) would run on this database. It changes nothing, and needs only to read.
    ///
    /// # Errors
    /// As [`apply`](Self::apply): also that the database is newer than this program.
    pub async fn plan(&self, client: &Client) -> Result<MigrationPlan, Error> {
        if self.publication.is_some() {
            let steps = self.unapplied(client).await?;
            let versions = steps.iter().map(|step| step.version).collect();
            return Ok(MigrationPlan { versions, statements: steps.iter().map(|step| step.sql.clone()).collect() });
        }
        let unread = |e| Error::database(format!("read the migrations of {}", self.component), e);
        let table = format!("{}.schema_migration", self.schema);
        let is_open: bool =
            client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&table]).await.map_err(unread)?.get(0);
        let applied = if is_open { self.applied(client).await? } else { Vec::new() };
        let missing: Vec<_> = self.steps.iter().filter(|step| !applied.contains(&step.version)).collect();
        let mut statements: Vec<_> = missing.iter().flat_map(|step| [step.sql.clone(), self.record(step)]).collect();
        if !statements.is_empty() {
            statements.insert(0, self.open_sql());
        }
        if let Some(layout) = &self.rows_of
            && row_life::triggers_of(client, layout).await? != Triggers::AsWanted
        {
            statements.push(row_life::switch_sql(layout));
        }
        Ok(MigrationPlan { versions: missing.iter().map(|step| step.version).collect(), statements })
    }

    /// Returns what [`apply`](Self::apply) runs on a database where nothing is applied yet.
    #[must_use]
    pub fn script(&self) -> MigrationPlan {
        if self.publication.is_some() {
            let versions = self.steps.iter().map(|step| step.version).collect();
            return MigrationPlan { versions, statements: self.steps.iter().map(|step| step.sql.clone()).collect() };
        }
        let steps = self.steps.iter().flat_map(|step| [step.sql.clone(), self.record(step)]);
        let switched = self.rows_of.iter().filter(|layout| layout.row_life().vanishes()).map(row_life::switch_sql);
        MigrationPlan {
            versions: self.steps.iter().map(|step| step.version).collect(),
            statements: std::iter::once(self.open_sql()).chain(steps).chain(switched).collect(),
        }
    }

    /// Writes the steps as files `V1__name.sql`, … for teams that apply migrations with a tool of their own, and says
    /// which. Such a tool keeps its own record: `schema_migration` is not in the files.
    ///
    /// # Errors
    /// A file could not be written, or is there with other SQL: what was applied somewhere is never changed.
    pub fn export(&self, directory: &Path) -> Result<Vec<PathBuf>, Error> {
        let mut files: Vec<_> =
            self.steps.iter().map(|step| (step.version, step.name.as_str(), step.sql.clone())).collect();
        if let Some(first) = files.first_mut().filter(|_| self.publication.is_none()) {
            first.2 = format!("{};\n{}", self.create_schema(), first.2);
        }
        if let Some(layout) = &self.rows_of
            && layout.row_life().vanishes()
        {
            let version = files.last().map_or(1, |(version, ..)| version + 1);
            files.push((version, "life of a row", row_life::switch_sql(layout)));
        }
        files.into_iter().map(|(version, name, sql)| self.write(directory, version, name, &sql)).collect()
    }

    fn write(&self, directory: &Path, version: i32, name: &str, sql: &str) -> Result<PathBuf, Error> {
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let path = directory.join(format!("V{version}__{}_{name}.sql", self.component));
        let text = format!("{};\n", sql.trim_end_matches(';'));
        let failed = |e| Error::file(path.display().to_string(), e);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        let mut found = String::new();
        file.read_to_string(&mut found).map_err(failed)?;
        if found.is_empty() {
            file.write_all(text.as_bytes()).map_err(failed)?;
        } else if found != text {
            let reason = format!("{} holds other SQL: delete the file if it was never applied", path.display());
            return Err(Error::migration(&self.component, version, reason));
        }
        Ok(path)
    }

    pub(super) fn record(&self, step: &Migration) -> String {
        format!(
            "INSERT INTO {}.schema_migration (component, version, name, checksum) VALUES ({}, {}, {}, {})",
            self.schema,
            literal(&self.component),
            step.version,
            literal(&step.name),
            checksum(&literal(&step.sql)),
        )
    }
}
