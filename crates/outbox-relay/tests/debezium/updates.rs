//! Changes of the outbox table that are no inserts.

use outbox_core::TableLayout;
use outbox_core::layout::ColumnType;
use postgres::{Client, NoTls};

use crate::configuration::{With as _, layout};
use crate::fixture::{COLUMNS, DebeziumEnv, event};

const FATAL: &str = "table.op.invalid.behavior";

/// Returns a table whose updates and deletes are published.
fn fixture() -> DebeziumEnv {
    let layout: TableLayout = layout("updated", ColumnType::Json, vec![]);
    let fixture = DebeziumEnv::new(layout, &format!("{COLUMNS}, payload json"));
    let mut client = Client::connect(fixture.database_url(), NoTls).unwrap();
    client.batch_execute("ALTER PUBLICATION outbox SET (publish = 'insert, update, delete')").unwrap();
    fixture
}

fn updated(index: usize) -> String {
    let update = "UPDATE updated SET event_type = event_type";
    format!("{}; {update}; {update}", event(index, "'{}'"))
}

#[test]
fn updates_are_no_records() {
    let mut fixture = fixture();
    for (name, skipped, behavior) in [("warn", "t", "warn"), ("error", "none", "ERROR "), ("skipped", "u,d,t", "fatal")]
    {
        fixture.reader(name, |config| config.with("skipped.operations", skipped).option(FATAL, behavior));
    }
    fixture.compare(&[updated(0), event(1, "'{}'")]);
}

#[test]
fn a_fatal_update_ends_debezium_s_task() {
    let mut fixture = fixture();
    fixture.reader("fatal", |config| config.with("skipped.operations", "t").option(FATAL, "fatal"));
    fixture.for_connector_only("errors.log.enable", "false");
    let trace = fixture.failure(&[updated(0)]);
    assert!(trace.contains("Unexpected update message received"), "{trace}");
}
