//! The headers that name the connector and its run (`extended.headers.enabled`).

use outbox_core::layout::ColumnType;

use crate::configuration::{PLACEMENT, layout};
use crate::fixture::{COLUMNS, DebeziumEnv, event};

#[test]
fn the_connector_s_headers_come_first() {
    let mut fixture =
        DebeziumEnv::new(layout("context", ColumnType::Json, vec![]), &format!("{COLUMNS}, payload json"));
    fixture.reader("default", |config| config.without("extended.headers.enabled"));
    fixture.reader("on", |config| config.with("extended.headers.enabled", "true").with(PLACEMENT, "event_type:header"));
    fixture.compare(&[event(0, "'{}'"), event(1, "NULL")]);
}
