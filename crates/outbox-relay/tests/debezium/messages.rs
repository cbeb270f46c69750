//! Events without a table: the records of the real Debezium and of the relay.

use std::time::Duration;

use outbox_core::layout::{ColumnType, EventField};
use outbox_core::{RowLife, TableLayout};

use crate::configuration::{JSON, With};
use crate::service::{Service, events};

#[test]
fn messages_are_records_once_and_in_order() {
    let mut service = Service::start(RowLife::Message);
    service.store(&events([Duration::ZERO; 4]));
    service.store_in_batches(&[events([Duration::ZERO; 300]), events([Duration::ZERO; 300])]);
    service.roll_back(&events([Duration::ZERO; 3]));
    service.store(&events([Duration::ZERO; 4]));
    service.compare();
}

#[test]
fn nested_payloads_and_schemas_are_written_as_debezium_writes_them() {
    let layout = TableLayout::messages().payload_type(ColumnType::Json).unwrap();
    let mut service = Service::start_with(layout, |config| {
        let config = config.json_values("true").json_keys("true").with("header.converter", JSON);
        let placement = "event_type:envelope,schema_version:envelope,created_at:header,headers:header";
        config.option("table.fields.additional.placement", placement)
    });
    // For another topic, Debezium repeats the name of the first one in the envelope's schema.
    let of_one_topic =
        events([Duration::ZERO; 8]).into_iter().filter(|event| event.aggregate_type().as_str() == "order");
    service.store(&of_one_topic.collect::<Vec<_>>());
    service.compare();
}

#[test]
fn a_message_of_a_program_from_before_a_column_has_a_record_without_its_header() {
    const PLACEMENT: &str = "transforms.outbox.table.fields.additional.placement";
    let layout = TableLayout::recommended();
    let columns = layout.columns().iter().filter(|column| column.field() != Some(EventField::Tracestate)).cloned();
    let older = TableLayout::new(layout.schema().clone(), layout.table().clone(), columns.collect()).unwrap();
    let mut service = Service::start_with(older.with_row_life(RowLife::Message), |config| {
        let placement = format!("{},tracestate:header", config.get(PLACEMENT).unwrap());
        config.with(PLACEMENT, placement)
    });
    service.store(&events([Duration::ZERO; 4]));
    service.compare();
}

#[test]
fn the_layout_of_cloud_events_needs_no_table() {
    let layout = TableLayout::cloud_events("/shop").unwrap().with_row_life(RowLife::Message);
    let mut service = Service::start_with(layout, |config| config);
    service.store(&events([Duration::ZERO; 5]));
    service.compare();
}
