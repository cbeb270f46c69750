//! The headers that name the connector and its run (`extended.headers.enabled`).

use outbox_core::ColumnType;

use crate::configuration::{PLACEMENT, layout};
use crate::stand::{COLUMNS, Stand, event};

#[test]
fn the_connector_s_headers_come_first() {
    let mut stand = Stand::new(layout("context", ColumnType::Json, vec![]), &format!("{COLUMNS}, payload json"));
    stand.reader("default", |config| config.without("extended.headers.enabled"));
    stand.reader("on", |config| config.with("extended.headers.enabled", "true").with(PLACEMENT, "event_type:header"));
    stand.compare(&[event(0, "'{}'"), event(1, "NULL")]);
}
