//! Pipelines for each way of writing and reading a record.

use std::sync::OnceLock;

use outbox_core::layout::ColumnType;
use outbox_core::{ConnectorConfig, Loss, Pipeline, TableLayout};

const STRING: &str = "org.apache.kafka.connect.storage.StringConverter";
const JSON: &str = "org.apache.kafka.connect.json.JsonConverter";
const BYTE_ARRAY: &str = "org.apache.kafka.connect.converters.ByteArrayConverter";
const BINARY_DATA: &str = "io.debezium.converters.BinaryDataConverter";

const ENVELOPE: &str = "headers:envelope,created_at:envelope,schema_version:envelope,event_type:header";

/// Returns pipelines of all value converters and types of payload, with and without schemas.
pub(crate) fn all() -> &'static [Pipeline] {
    static PIPELINES: OnceLock<Vec<Pipeline>> = OnceLock::new();
    PIPELINES.get_or_init(|| {
        let forms = [
            (STRING, ColumnType::Json, "", "false"),
            (BYTE_ARRAY, ColumnType::Bytea, "", "false"),
            (BINARY_DATA, ColumnType::Bytea, "", "false"),
            (JSON, ColumnType::Json, "", "false"),
            (JSON, ColumnType::Text, "", "false"),
            (JSON, ColumnType::Bytea, "", "false"),
            (JSON, ColumnType::Jsonb, "", "true"),
            (JSON, ColumnType::Text, ENVELOPE, "true"),
        ];
        let with_schemas = forms.iter().flat_map(|form| ["true", "false"].map(|schemas| (form, schemas)));
        with_schemas
            .map(|(&(converter, payload, placement, expands), schemas)| {
                pipeline(converter, payload, placement, expands, schemas)
            })
            .collect()
    })
}

/// Returns pipelines that expand payloads, with and without schemas.
pub(crate) fn expanding() -> &'static [Pipeline] {
    static PIPELINES: OnceLock<Vec<Pipeline>> = OnceLock::new();
    PIPELINES
        .get_or_init(|| ["true", "false"].map(|schemas| pipeline(JSON, ColumnType::Text, "", "true", schemas)).into())
}

/// Returns one of some pipelines.
pub(crate) fn chosen(pipelines: &[Pipeline], choice: u8) -> &Pipeline {
    let chosen = pipelines.get(usize::from(choice) % pipelines.len().max(1));
    chosen.unwrap_or_else(|| panic!("no pipelines"))
}

/// Returns the pipeline of these settings.
fn pipeline(converter: &str, payload: ColumnType, placement: &str, expands: &str, schemas: &str) -> Pipeline {
    let made = TableLayout::recommended().payload_type(payload).and_then(|layout| {
        let mut config = ConnectorConfig::recommended(&layout)
            .with("value.converter", converter)
            .with("value.converter.schemas.enable", schemas)
            .with("key.converter.schemas.enable", schemas)
            .with("heartbeat.interval.ms", "0")
            .with("transforms.outbox.table.expand.json.payload", expands);
        if !placement.is_empty() {
            config = config.with("transforms.outbox.table.fields.additional.placement", placement);
        }
        Pipeline::accepting(&[Loss::JsonExpansion], config, layout)
    });
    match made {
        Ok(pipeline) => pipeline,
        Err(error) => panic!("{converter} with {payload:?}: {error}"),
    }
}
