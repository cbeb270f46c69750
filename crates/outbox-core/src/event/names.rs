//! The parts of an event that are checked texts.

use std::fmt;

use uuid::Uuid;

use super::EventId;
use crate::Error;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $field:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks the text and takes it.
            ///
            /// # Errors
            /// The text breaks the rule of the type, see there.
            pub fn new(text: impl Into<String>) -> Result<Self, Error> {
                let text = text.into();
                match $check(&text) {
                    Ok(()) => Ok(Self(text.into_boxed_str())),
                    Err(rule) => Err(Error::rule($field, &text, rule)),
                }
            }

            /// Returns the text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                Self::new(text)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The kind of thing that an event is about, such as `order`. The topic is made of it: 1 to 249 characters of
    /// `[A-Za-z0-9._-]`, as Kafka allows in topic names.
    AggregateType,
    "aggregate_type",
    topic_legal
);
name!(
    /// Which one of its kind the event is about. It becomes the record's key, so that the events of one aggregate
    /// keep their order. 1 to 255 bytes without control characters.
    AggregateId,
    "aggregate_id",
    short_text
);
name!(
    /// The type of an event, such as `OrderCreated`. 1 to 255 bytes without control characters.
    EventType,
    "event_type",
    short_text
);
name!(
    /// The media type of the payload, such as `application/json`. 1 to 255 bytes without control characters.
    ContentType,
    "content_type",
    short_text
);
name!(
    /// Ties together all events of one business transaction. 1 to 255 bytes without control characters.
    CorrelationId,
    "correlation_id",
    short_text
);
name!(
    /// The id of the event or command that caused this one. 1 to 255 bytes without control characters.
    CausationId,
    "causation_id",
    short_text
);
name!(
    /// The key of an event's record, if it differs from the aggregate id, such as the id of a tenant. Events of one key
    /// keep their order. 1 to 255 bytes without control characters.
    RecordKey,
    "key",
    short_text
);

/// The text of a UUID keeps the rule of an id.
macro_rules! from_id {
    ($($name:ident),*) => {$(
        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id.to_string().into_boxed_str())
            }
        }

        impl From<EventId> for $name {
            fn from(id: EventId) -> Self {
                id.as_uuid().into()
            }
        }
    )*};
}

from_id!(CorrelationId, CausationId);

/// Kafka's limit for the name of a topic, in characters.
pub(crate) const TOPIC_MAX: usize = 249;

pub(crate) const fn topic_legal(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > TOPIC_MAX {
        return Err("it has more than 249 characters");
    }

    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        if !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
            return Err("only A-Z, a-z, 0-9, '.', '_' and '-' are legal in the name of a Kafka topic");
        }
        rest = tail;
    }
    Ok(())
}

pub(crate) const fn short_text(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > 255 {
        return Err("it has more than 255 bytes");
    }

    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        // U+0080 to U+009F are two bytes in UTF-8.
        let is_c1 = *byte == 0xc2 && matches!(tail, [0x80..=0x9f, ..]);
        if byte.is_ascii_control() || is_c1 {
            return Err("it has a control character");
        }
        rest = tail;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aggregate_type_is_legal_in_a_topic() {
        assert!(AggregateType::new("order-v2.A_b").is_ok());
        for bad in ["", "or der", "заказ", "a/b", "a\0", &"x".repeat(250)] {
            let error = AggregateType::new(bad).unwrap_err();
            assert!(error.is_invalid_event());
            assert_eq!(error.field(), Some("aggregate_type"));
        }
    }

    #[test]
    fn every_control_character_is_found_and_no_other() {
        for c in '\0'..='\u{3000}' {
            assert_eq!(short_text(c.encode_utf8(&mut [0; 4])).is_err(), c.is_control(), "{c:?}");
        }
    }

    #[test]
    fn other_names_refuse_what_is_empty_long_or_has_control_characters() {
        assert!(AggregateId::new("ключ 1 / ?").is_ok());
        assert!(AggregateId::new("x".repeat(255)).is_ok());
        for bad in [String::new(), "x".repeat(256), "a\0b".into(), "a\nb".into(), "\u{7f}".into(), "é\u{85}".into()] {
            assert!(AggregateId::new(bad.clone()).is_err());
            assert!(EventType::new(bad).is_err());
        }
    }
}
