use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use outbox_core::layout::{Column, ColumnType, Nullability};
use outbox_core::{ConnectorConfig, Identifier, Loss, Pipeline, RowLife, TableLayout};
use outbox_net::ErrorChain;
use outbox_relay::read_connector_file;
use tokio_postgres::{Client, Row};

use crate::exit::Failure;
use crate::postgres::DatabaseOptions;

/// The losses of a configuration that commands accept which only read events.
const LOSSES: [Loss; 4] = [Loss::JsonExpansion, Loss::NullableColumns, Loss::UncarriedParts, Loss::UnreadableRecords];

/// The outbox: the connector's configuration and the table.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Outbox")]
pub(crate) struct ModelOptions {
    /// The connector's configuration; without it, the recommended one counts
    ///
    /// The file is JSON, .properties of standalone Kafka Connect, or .yaml with a KafkaConnector of Strimzi.
    #[arg(long, env = "CONNECTOR_CONFIG", value_name = "FILE", global = true)]
    connector_config: Option<PathBuf>,

    /// The outbox table, or without a table the prefix of the messages
    #[arg(long, env = "OUTBOX_TABLE", value_name = "SCHEMA.TABLE", global = true, value_parser = table_name)]
    table: Option<(Identifier, Identifier)>,

    /// The life of a row after its transaction
    #[arg(long, env = "OUTBOX_ROW_LIFE", value_enum, value_name = "LIFE", default_value = "keep", global = true)]
    row_life: Life,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Life {
    /// It stays until retention removes it
    Keep,
    /// It stays, in a partitioned table
    Partitioned,
    /// It is deleted in its own transaction
    DeleteOnInsert,
    /// It is deleted, and its id is kept
    DeleteOnInsertKeepIds,
    /// There is no table: an event is a logical decoding message
    Message,
}

impl ModelOptions {
    /// Returns the table's layout.
    pub(crate) fn layout(&self) -> TableLayout {
        let layout = TableLayout::recommended().with_row_life(match self.row_life {
            Life::Keep => RowLife::Keep,
            Life::Partitioned => RowLife::Partitioned,
            Life::DeleteOnInsert => RowLife::DeleteOnInsert,
            Life::DeleteOnInsertKeepIds => RowLife::DeleteOnInsertKeepIds,
            Life::Message => RowLife::Message,
        });
        match &self.table {
            Some((schema, table)) => layout.named(schema.clone(), table.clone()),
            None => layout,
        }
    }

    /// Returns the connector's configuration.
    pub(crate) fn config(&self) -> Result<ConnectorConfig, Failure> {
        match &self.connector_config {
            Some(file) => read_config(file),
            None => Ok(ConnectorConfig::recommended(&self.layout())),
        }
    }

    /// Returns the file of the connector's configuration.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.connector_config.as_deref()
    }

    /// Returns the model of both.
    pub(crate) fn pipeline(&self) -> Result<Pipeline, Failure> {
        self.pipeline_with(self.config()?)
    }

    /// Returns the model of another configuration and the table of `outbox migrate`.
    pub(crate) fn pipeline_with(&self, config: ConnectorConfig) -> Result<Pipeline, Failure> {
        Pipeline::new(config, self.layout()).map_err(|e| contradiction(&e))
    }

    /// Returns the model of the configuration and of the table that the database has.
    ///
    /// It connects only if the configuration does not fit a table of `outbox migrate`.
    pub(crate) async fn pipeline_at(&self, database: &DatabaseOptions, limit: Duration) -> Result<Pipeline, Failure> {
        self.pipeline_of(&[], database, limit).await
    }

    /// Returns the same model with other values of some keys of the configuration.
    pub(crate) async fn pipeline_of(
        &self,
        changes: &[(&str, &str)],
        database: &DatabaseOptions,
        limit: Duration,
    ) -> Result<Pipeline, Failure> {
        let config = changes.iter().fold(self.config()?, |config, (key, value)| config.with(*key, *value));
        let error = match Pipeline::accepting(&LOSSES, config.clone(), self.layout()) {
            Ok(pipeline) => return Ok(pipeline),
            Err(error) => error,
        };
        let client = database.connect(limit).await?;
        match self.existing(&client, &config).await? {
            Some(existing) => existing.pipeline().map_err(|e| contradiction(&e)),
            None => Err(contradiction(&error)),
        }
    }

    /// Returns the model of a configuration and a table that others made; `None` if the database has no such table.
    pub(crate) async fn existing(
        &self,
        client: &Client,
        config: &ConnectorConfig,
    ) -> Result<Option<Existing>, Failure> {
        if !self.layout().row_life().has_table() {
            return Ok(None);
        }
        let layout = existing_layout(client, config, self.table.clone()).await?;
        let row_life = self.layout().row_life();
        let with_life = |layout: TableLayout| layout.with_row_life(row_life);
        Ok(layout.map(|layout| Existing { config: config.clone(), layout: layout.map(with_life) }))
    }
}

/// A connector's configuration, and a table that others made.
pub(crate) struct Existing {
    config: ConnectorConfig,
    layout: Result<TableLayout, outbox_core::Error>,
}

impl Existing {
    /// Returns the pipeline, with all losses of the configuration accepted.
    pub(crate) fn pipeline(self) -> Result<Pipeline, outbox_core::Error> {
        Pipeline::accepting(&LOSSES, self.config, self.layout?)
    }

    /// Checks for the losses that [`pipeline`](Self::pipeline) accepts.
    pub(crate) fn check(&self) -> Result<(), outbox_core::Error> {
        // The programs that write the table know which of its columns no record holds.
        let losses = [Loss::UncarriedParts];
        match &self.layout {
            Ok(layout) => Pipeline::accepting(&losses, self.config.clone(), layout.clone()).map(drop),
            // The pipeline has the error.
            Err(_) => Ok(()),
        }
    }
}

fn contradiction(error: &outbox_core::Error) -> Failure {
    Failure::usage("the connector's configuration and the table contradict each other").caused_by(error)
}

/// Reads a connector's configuration from a file, in each form that the relay reads.
pub(crate) fn read_config(file: &Path) -> Result<ConnectorConfig, Failure> {
    read_connector_file(file).map_err(|e| Failure::usage(ErrorChain::new(&e).to_string()))
}

fn table_name(text: &str) -> Result<(Identifier, Identifier), String> {
    let (schema, table) = text.split_once('.').ok_or("it is written SCHEMA.TABLE")?;
    Ok((identifier(schema)?, identifier(table)?))
}

/// Parses a name in PostgreSQL.
pub(crate) fn identifier(text: &str) -> Result<Identifier, String> {
    Identifier::new(text).map_err(|e| e.to_string())
}

/// The columns of a table. Types are reduced to their base types: an enum as `anyenum`, `citext` as `text`, a domain as
/// its own.
const COLUMNS: &str = "SELECT a.attname::text,
        CASE WHEN t.typtype = 'e' THEN 3500::oid WHEN t.typname = 'citext' THEN 25::oid
             WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END,
        CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END,
        a.attnotnull OR (t.typtype = 'd' AND t.typnotnull),
        pg_get_expr(d.adbin, d.adrelid)
    FROM pg_attribute a
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    ORDER BY a.attnum";

/// Returns the layout of a table by its columns and the connector's configuration.
///
/// Returns none if the table is one of `outbox migrate`, or does not exist.
async fn existing_layout(
    client: &Client,
    config: &ConnectorConfig,
    named: Option<(Identifier, Identifier)>,
) -> Result<Option<Result<TableLayout, outbox_core::Error>>, Failure> {
    let Some((schema, table)) = named.or_else(|| included(config)) else { return Ok(None) };
    let unread = |e| Failure::server(format!("the columns of {schema}.{table} cannot be read")).caused_by(&e);
    let rows = client.query(COLUMNS, &[&format!("{schema}.{table}")]).await.map_err(unread)?;
    let columns = rows.iter().map(column).collect::<Result<Vec<_>, _>>().map_err(unread)?;
    let columns: Vec<_> = columns.into_iter().flatten().collect();

    let recommended = TableLayout::recommended();
    let has = |wanted: &Column| columns.iter().any(|column| column.name() == wanted.name());
    if columns.is_empty() || recommended.columns().iter().all(has) {
        return Ok(None);
    }
    Ok(Some(TableLayout::from_router(config, schema, table, columns)))
}

/// Returns the table of `table.include.list`, if that is a name and no other expression.
fn included(config: &ConnectorConfig) -> Option<(Identifier, Identifier)> {
    let list = config.get("table.include.list")?.trim().replace("\\.", ".");
    let is_plain = |text: &str| !text.contains(['*', '+', '?', '(', '[', '|', ',', '\\', '.']);
    let (schema, table) = list.split_once('.').filter(|(schema, table)| is_plain(schema) && is_plain(table))?;
    Some((Identifier::new(schema).ok()?, Identifier::new(table).ok()?))
}

fn column(row: &Row) -> Result<Option<Column>, tokio_postgres::Error> {
    let (name, oid, modifier): (String, u32, i32) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    let nullability = if row.try_get(3)? { Nullability::NotNull } else { Nullability::Nullable };
    let Ok(name) = Identifier::new(name) else { return Ok(None) };
    let column = Column::foreign(name, ColumnType::from_oid(oid, modifier), nullability);
    let default: Option<String> = row.try_get(4)?;
    Ok(Some(match default {
        Some(expression) => column.default_expression(&expression),
        None => column,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_name_is_a_table() {
        let of = |list: &str| {
            let config = ConnectorConfig::recommended(&TableLayout::recommended()).with("table.include.list", list);
            included(&config).map(|(schema, table)| format!("{schema}.{table}"))
        };
        assert_eq!(of("public.outboxevent").unwrap(), of("public\\.outboxevent").unwrap());
        for list in ["public.a,public.b", "public.outbox_.*", "(a|b).outbox", "outbox", "a.b.c"] {
            assert_eq!(of(list), None, "{list}");
        }
    }
}
