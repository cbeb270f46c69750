use uuid::Uuid;

use super::column_text::text;
use crate::connector::ValueForms;
use crate::{ColumnType, ColumnValue};

/// The namespace of ids that are no UUIDs.
const NAMESPACE: Uuid = Uuid::from_u128(0x5f3d_7c1e_9a24_4b6b_8d0e_6c2f_71a9_e3b4);

/// Returns the UUID that identifies an event by the header `id` of its record: the UUID that the header is, or else, as
/// for a `bigint`, the UUID of version 5 (RFC 9562) of `TOPIC/ID` in the namespace
/// `5f3d7c1e-9a24-4b6b-8d0e-6c2f71a9e3b4`. Numbers are unique in their table only, so the topic belongs to them. A
/// header that a JsonConverter wrote counts as the text in it. Returns `None` if the header is empty or not UTF-8.
///
/// ```
/// use outbox_core::record::event_identity;
///
/// let id = event_identity("orders", b"01890a5d-ac96-774b-bcce-b302099a8057").unwrap();
/// assert_eq!(id.to_string(), "01890a5d-ac96-774b-bcce-b302099a8057");
/// assert_eq!(event_identity("orders", b"42").unwrap().get_version_num(), 5);
/// assert_eq!(event_identity("orders", b"\"42\""), event_identity("orders", b"42"));
/// assert_eq!(event_identity("orders", b""), None);
/// ```
#[must_use]
pub fn event_identity(topic: &str, header: &[u8]) -> Option<Uuid> {
    let written = match header.first() {
        Some(b'"' | b'{') => of_json(header),
        _ => None,
    };
    let header = written.as_deref().map_or(header, str::as_bytes);
    match Uuid::try_parse_ascii(header) {
        Ok(id) => Some(id),
        Err(_) if header.is_empty() || std::str::from_utf8(header).is_err() => None,
        Err(_) => Some(Uuid::new_v5(&NAMESPACE, &[topic.as_bytes(), b"/", header].concat())),
    }
}

/// Returns the text of a header that a JsonConverter wrote, with or without a schema.
fn of_json(header: &[u8]) -> Option<String> {
    let payload = match serde_json::from_slice(header).ok()? {
        serde_json::Value::Object(mut with_schema) if with_schema.len() == 2 && with_schema.contains_key("schema") => {
            with_schema.remove("payload")?
        }
        other => other,
    };
    match payload {
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Bool(value) => Some(value.to_string()),
        _ => None,
    }
}

/// Returns the [`event_identity`] of a column's value, without a topic.
pub(crate) fn identity_of(value: &ColumnValue, ty: ColumnType, forms: ValueForms) -> Option<Uuid> {
    match value {
        ColumnValue::Uuid(id) => Some(*id),
        value => event_identity("", text(value, ty, forms)?.as_bytes()),
    }
}
