//! The parts of a row that a pipeline carries, said a second time and in another way than the crate does.

use std::collections::BTreeMap;

use base64::Engine as _;
use outbox_core::layout::{ColumnType, ColumnValue, EventField};
use outbox_core::record::{DecodedEvent, DecodedPayload, Record};
use outbox_core::time::macros::format_description;
use outbox_core::time::{Duration, OffsetDateTime};
use proptest::prelude::*;
use serde_json::Value;

use crate::fixtures::JSON;
use crate::strategies::{Case, Place};

/// Returns a column's value as text; `None` is NULL.
fn wire(value: &ColumnValue, ty: ColumnType) -> Option<String> {
    Some(match value {
        ColumnValue::Text(text) => text.clone(),
        ColumnValue::Bytes(bytes) => base64::prelude::BASE64_STANDARD.encode(bytes),
        ColumnValue::Uuid(uuid) => uuid.hyphenated().to_string(),
        ColumnValue::Integer(number) => format!("{number}"),
        ColumnValue::Boolean(value) => format!("{value}"),
        ColumnValue::Instant(at) => match ty {
            ColumnType::TimestampMillis => (at.unix_timestamp_nanos() / 1_000_000).to_string(),
            ColumnType::TimestampMicros => (at.unix_timestamp_nanos() / 1_000).to_string(),
            _ => at
                .format(format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z"))
                .unwrap(),
        },
        _ => return None,
    })
}

fn in_json(value: &ColumnValue, ty: ColumnType) -> Value {
    let Some(text) = wire(value, ty) else { return Value::Null };
    match ty {
        ColumnType::Integer | ColumnType::Boolean | ColumnType::TimestampMillis | ColumnType::TimestampMicros => {
            text.parse().unwrap()
        }
        _ => Value::from(text),
    }
}

fn in_millis(at: OffsetDateTime) -> OffsetDateTime {
    at - Duration::microseconds(i64::from(at.microsecond() % 1_000))
}

impl Case {
    fn position(&self, field: EventField) -> Option<usize> {
        self.layout.columns().iter().position(|column| column.field() == Some(field))
    }

    fn ty(&self, index: usize) -> ColumnType {
        self.layout.columns()[index].ty()
    }

    fn payload(&self) -> &ColumnValue {
        &self.row[self.position(EventField::Payload).unwrap()]
    }

    /// Returns whether a deletion leaves a tombstone: a null value on the wire leaves no envelope.
    fn is_tombstoned(&self) -> bool {
        let is_empty = match self.payload() {
            ColumnValue::Null => true,
            ColumnValue::Text(text) => text.chars().all(|c| c <= ' '),
            _ => false,
        };
        is_empty && self.spec.is_tombstone
    }

    fn is_placed(&self, index: usize) -> bool {
        self.spec.placed.iter().any(|(column, place, _)| {
            *column == index && (*place == Place::Header || *place == Place::Envelope && !self.is_tombstoned())
        })
    }

    pub(crate) fn route(&self) -> &str {
        match &self.row[self.spec.route_by] {
            ColumnValue::Text(text) => text,
            other => panic!("{other:?} is no route"),
        }
    }

    pub(crate) fn topic(&self) -> String {
        match &self.spec.affixes {
            Some((prefix, suffix)) => format!("{prefix}{}{suffix}", self.route()),
            None => "fixed".into(),
        }
    }

    /// Returns the text of a part, where any place of the record reports it.
    fn visible(&self, field: EventField) -> Option<String> {
        let index = self.position(field)?;
        let by_topic = index == self.spec.route_by && self.spec.affixes.is_some();
        let is_visible = self.is_placed(index) || index == self.spec.key || by_topic;
        wire(&self.row[index], self.ty(index)).filter(|text| is_visible && !text.is_empty())
    }

    fn created_at(&self) -> Option<OffsetDateTime> {
        let index = self.position(EventField::CreatedAt)?;
        let ColumnValue::Instant(at) = self.row[index] else { return None };
        if self.is_placed(index) {
            return Some(if self.ty(index) == ColumnType::TimestampMillis { in_millis(at) } else { at });
        }
        (self.spec.timestamp == Some(index)).then(|| in_millis(at))
    }

    pub(crate) fn check_record(&self, record: &Record) -> Result<(), TestCaseError> {
        prop_assert_eq!(&record.topic, &self.topic());
        let stamp = self.spec.timestamp.map(|index| &self.row[index]);
        let millis = match stamp {
            Some(ColumnValue::Instant(at)) => Some((at.unix_timestamp_nanos() / 1_000_000) as i64),
            _ => None,
        };
        prop_assert_eq!(record.timestamp, millis);

        let partition = self.spec.placed.iter().find(|(_, place, _)| *place == Place::Partition);
        let partition = partition.and_then(|(column, ..)| match self.row[*column] {
            ColumnValue::Integer(number) => Some(number),
            _ => None,
        });
        prop_assert_eq!(record.partition, partition);
        prop_assert_eq!(record.value.is_none(), self.is_null_on_the_wire());
        Ok(())
    }

    fn is_null_on_the_wire(&self) -> bool {
        self.is_tombstoned() || (*self.payload() == ColumnValue::Null && self.spec.value_converter != JSON)
    }

    pub(crate) fn check_event(&self, event: &DecodedEvent) -> Result<(), TestCaseError> {
        use EventField as F;
        let id = self.position(F::Id).unwrap();
        prop_assert_eq!(Some(event.id.to_string()), wire(&self.row[id], ColumnType::Uuid));
        prop_assert_eq!(event.aggregate_type.clone().map(String::from), self.visible(F::AggregateType));
        prop_assert_eq!(event.aggregate_id.clone().map(String::from), self.visible(F::AggregateId));
        prop_assert_eq!(event.event_type.clone().map(String::from), self.visible(F::EventType));
        prop_assert_eq!(event.content_type.clone().map(String::from), self.visible(F::ContentType));
        prop_assert_eq!(event.correlation_id.clone().map(String::from), self.visible(F::CorrelationId));
        prop_assert_eq!(event.causation_id.clone().map(String::from), self.visible(F::CausationId));
        prop_assert_eq!(event.key.clone().map(String::from), self.visible(F::Key));
        let tracestate =
            self.visible(F::Tracestate).filter(|text| text.parse::<outbox_core::event::Tracestate>().is_ok());

        prop_assert_eq!(event.tracestate.as_ref().map(|text| text.as_str()), tracestate.as_deref());
        prop_assert_eq!(event.schema_version.map(|version| version.to_string()), self.visible(F::SchemaVersion));

        // Of the generated texts the well-formed ones alone have three hyphens at these places.
        let is_well_formed = |text: &String| {
            text.len() == 55 && text.is_ascii() && [2, 35, 52].iter().all(|at| text.as_bytes()[*at] == b'-')
        };
        let traceparent = self.visible(F::Traceparent).filter(is_well_formed);
        prop_assert_eq!(event.traceparent.as_ref().map(|text| text.as_str()), traceparent.as_deref());
        let headers: BTreeMap<String, String> =
            self.visible(F::Headers).map_or_else(BTreeMap::new, |json| serde_json::from_str(&json).unwrap());
        let decoded = event.headers.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        prop_assert_eq!(decoded.collect::<BTreeMap<_, _>>(), headers);
        prop_assert_eq!(event.created_at, self.created_at());
        self.check_extra(event)?;
        self.check_payload(&event.payload)
    }

    fn check_extra(&self, event: &DecodedEvent) -> Result<(), TestCaseError> {
        let foreign = |wanted: Place| {
            self.spec
                .placed
                .iter()
                .filter(move |(column, place, _)| *place == wanted && self.layout.columns()[*column].field().is_none())
        };
        let mut names = Vec::new();
        for (column, _, alias) in foreign(Place::Header) {
            prop_assert_eq!(event.extra.get(alias).cloned(), wire(&self.row[*column], self.ty(*column)));
            names.push(alias);
        }

        for (column, _, alias) in foreign(Place::Envelope).filter(|_| !self.is_tombstoned()) {
            if !names.contains(&alias) {
                let json: Value = serde_json::from_str(&event.extra[alias]).unwrap();
                prop_assert_eq!(json, in_json(&self.row[*column], self.ty(*column)));
                names.push(alias);
            }
        }

        prop_assert_eq!(event.extra.len(), names.len());
        Ok(())
    }

    fn check_payload(&self, payload: &DecodedPayload) -> Result<(), TestCaseError> {
        match self.payload() {
            _ if self.is_tombstoned() => prop_assert!(*payload == DecodedPayload::Empty),
            ColumnValue::Null => prop_assert!(*payload == DecodedPayload::Empty),
            ColumnValue::Bytes(bytes) => prop_assert!(*payload == DecodedPayload::Bytes(bytes.clone())),
            ColumnValue::Text(text) if text.is_empty() => prop_assert!(*payload == DecodedPayload::Empty),
            // What an expansion keeps of a document is its own property.
            ColumnValue::Text(text) if self.spec.expansion.is_some() && text.starts_with(['{', '[']) => {
                prop_assert!(payload.as_text().is_some());
            }
            ColumnValue::Text(text) => prop_assert_eq!(payload.as_text(), Some(text.as_str())),
            other => prop_assert!(false, "{other:?} is no payload"),
        }
        Ok(())
    }
}

/// Returns a document less what an expansion may leave out or add: null members, and empty arrays where those are not
/// kept.
pub(crate) fn substance(value: Value, keeps_empty_arrays: bool) -> Value {
    match value {
        Value::Object(members) => {
            let is_kept = |value: &Value| {
                !value.is_null() && (keeps_empty_arrays || !value.as_array().is_some_and(|array| array.is_empty()))
            };
            let members = members.into_iter().filter(|(_, value)| is_kept(value));
            Value::Object(members.map(|(key, value)| (key, substance(value, keeps_empty_arrays))).collect())
        }
        Value::Array(elements) => {
            Value::Array(elements.into_iter().map(|element| substance(element, keeps_empty_arrays)).collect())
        }
        other => other,
    }
}
