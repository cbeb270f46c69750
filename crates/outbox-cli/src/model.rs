use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use outbox_core::{ConnectorConfig, Identifier, Pipeline, RowLife, TableLayout};
use outbox_net::ErrorChain;
use outbox_relay::read_connector_file;

use crate::exit::Failure;

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

    /// Returns the model of another configuration and the table.
    pub(crate) fn pipeline_with(&self, config: ConnectorConfig) -> Result<Pipeline, Failure> {
        let pipeline = Pipeline::new(config, self.layout());
        pipeline.map_err(|e| {
            Failure::usage("the connector's configuration and the table contradict each other").caused_by(&e)
        })
    }
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
