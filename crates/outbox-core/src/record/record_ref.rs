use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use super::Record;

/// A [`Record`] that borrows from the row that it was made of. `Debug` shows the topic and sizes only.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordRef<'a> {
    /// As [`Record::topic`].
    pub topic: String,
    /// As [`Record::partition`].
    pub partition: Option<i32>,
    /// As [`Record::key`].
    pub key: Option<Cow<'a, [u8]>>,
    /// As [`Record::value`].
    pub value: Option<Cow<'a, [u8]>>,
    /// As [`Record::headers`].
    pub headers: Vec<(&'a str, Option<Cow<'a, [u8]>>)>,
    /// As [`Record::timestamp`].
    pub timestamp: Option<i64>,
}

impl RecordRef<'_> {
    pub(crate) fn of_topic(topic: String) -> Self {
        Self { topic, partition: None, key: None, value: None, headers: Vec::new(), timestamp: None }
    }

    /// Returns the same record, with all that was borrowed.
    #[must_use]
    pub fn into_owned(self) -> Record {
        let owned = |field: Option<Cow<'_, [u8]>>| field.map(|bytes| Bytes::from(bytes.into_owned()));
        Record {
            topic: self.topic,
            partition: self.partition,
            key: owned(self.key),
            value: owned(self.value),
            headers: self.headers.into_iter().map(|(name, value)| (name.to_owned(), owned(value))).collect(),
            timestamp: self.timestamp,
        }
    }
}

impl fmt::Debug for RecordRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = |field: &Option<Cow<'_, [u8]>>| field.as_ref().map(|bytes| bytes.len());
        f.debug_struct("RecordRef")
            .field("topic", &self.topic)
            .field("key_bytes", &length(&self.key))
            .field("value_bytes", &length(&self.value))
            .finish_non_exhaustive()
    }
}
