use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use outbox_core::Identifier;
use outbox_pg::Migrations;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::model::{ModelOptions, identifier};
use crate::output::{Output, Part, Report};
use crate::postgres::DatabaseOptions;

const EXAMPLES: &str = "Examples:
  outbox migrate plan
  outbox migrate apply
  outbox migrate apply --consumer
  outbox migrate export migrations/";

#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum MigrateCommand {
    /// Prints the SQL that apply would run, as a script for psql
    ///
    /// Exit code: 1 if there is something to do.
    Plan(Component),
    /// Creates or updates the outbox table and the publication, or the tables of another component
    ///
    /// The replication slot is not part of it: outbox slot create makes it.
    Apply(Component),
    /// Writes the migrations as files V1__name.sql, … for another tool
    Export {
        /// The directory
        directory: PathBuf,
        #[command(flatten)]
        component: Component,
    },
}

/// Which tables are meant.
#[derive(Args)]
pub(crate) struct Component {
    /// The tables of the maintenance, in place of the outbox
    #[arg(long, conflicts_with = "consumer")]
    maintenance: bool,
    /// The tables of the consumer, in place of the outbox
    #[arg(long)]
    consumer: bool,
    /// The schema of the consumer's tables
    #[arg(long, value_name = "SCHEMA", default_value = "outbox", value_parser = identifier)]
    consumer_schema: Identifier,
}

impl MigrateCommand {
    pub(crate) async fn run(
        self,
        database: &DatabaseOptions,
        model: &ModelOptions,
        output: Output,
        limit: Duration,
    ) -> Result<Exit, Failure> {
        let failed = |e: outbox_pg::Error| match e.is_migration_conflict() {
            true => Failure::refused("the migrations contradict those of the database").caused_by(&e),
            false => Failure::server("the migrations cannot be run").caused_by(&e),
        };
        match self {
            Self::Plan(component) => {
                let migrations = component.migrations(model, Some((database, limit))).await?;
                let plan = migrations.plan(&database.connect(limit).await?).await.map_err(failed)?;
                let is_empty = plan.is_empty();
                output.print(&Planned { versions: plan.versions().to_vec(), script: plan.to_string() })?;
                Ok(if is_empty { Exit::Success } else { Exit::Finding })
            }
            Self::Apply(component) => {
                let migrations = component.migrations(model, Some((database, limit))).await?;
                let applied = migrations.apply(&mut database.connect(limit).await?).await.map_err(failed)?;
                let row_life = applied.row_life.map(|life| format!("{life:?}"));
                output.print(&Applied { versions: applied.versions, row_life, statements: applied.statements })?;
                Ok(Exit::Success)
            }
            Self::Export { directory, component } => {
                let created = std::fs::create_dir_all(&directory);
                created
                    .map_err(|e| Failure::usage(format!("{} cannot be created", directory.display())).caused_by(&e))?;
                let written = component.migrations(model, None).await?.export(&directory);
                let written = written.map_err(|e| Failure::usage("the migrations cannot be written").caused_by(&e))?;
                output.print(&Exported { files: written.iter().map(|file| file.display().to_string()).collect() })?;
                Ok(Exit::Success)
            }
        }
    }
}

impl Component {
    /// Returns the migrations of the component, of a table that others made if the database may be asked for it.
    async fn migrations(
        &self,
        model: &ModelOptions,
        database: Option<(&DatabaseOptions, Duration)>,
    ) -> Result<Migrations, Failure> {
        if self.consumer {
            return Ok(outbox_kafka_consumer::migrations(&self.consumer_schema));
        }
        let pipeline = match database {
            Some((database, limit)) => model.pipeline_at(database, limit).await?,
            None => model.pipeline()?,
        };
        Ok(if self.maintenance { Migrations::maintenance(&pipeline) } else { Migrations::outbox(&pipeline) })
    }
}

#[derive(Serialize)]
struct Planned {
    versions: Vec<i32>,
    script: String,
}

impl Report for Planned {
    fn parts(&self) -> Vec<Part> {
        vec![Part::Line(self.script.trim_end().to_owned())]
    }
}

#[derive(Serialize)]
struct Applied {
    versions: Vec<i32>,
    row_life: Option<String>,
    statements: Vec<String>,
}

impl Report for Applied {
    fn parts(&self) -> Vec<Part> {
        let versions: Vec<_> = self.versions.iter().map(ToString::to_string).collect();
        let line = match (versions.is_empty(), &self.row_life) {
            (true, None) if self.statements.is_empty() => "nothing to do".to_owned(),
            (true, None) => "brought the table and the publication up to date".to_owned(),
            (true, Some(life)) => format!("rows have another life: {life}"),
            (false, _) => format!("applied versions {}", versions.join(", ")),
        };
        let statements = self.statements.iter().map(|statement| format!("ran {statement}"));
        std::iter::once(line).chain(statements).map(Part::Line).collect()
    }
}

#[derive(Serialize)]
struct Exported {
    files: Vec<String>,
}

impl Report for Exported {
    fn parts(&self) -> Vec<Part> {
        self.files.iter().cloned().map(Part::Line).collect()
    }
}
