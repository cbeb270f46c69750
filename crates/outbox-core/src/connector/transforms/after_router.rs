use std::borrow::Cow;

use super::inserted_header::InsertedHeader;
use super::predicate::{Changes, Predicate, Source};
use super::timestamp_router::TimestampedTopic;
use super::value_step::{ValueChange, ValueStep};
use crate::connector::TopicRoute;
use crate::{DroppedBy, Error, RecordRef};

/// The effects of other transformations on the records that the EventRouter makes of a table's rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct AfterRouter {
    /// Headers that a transformation inserted before the router.
    pub(super) leading: Vec<InsertedHeader>,
    /// The topic that names the schemas of rows, if a transformation has changed it.
    pub(super) schemas_of: Option<String>,
    /// The key of the transformation that drops the header `id`, if one may.
    pub(super) id_dropped_by: Option<String>,
    /// The key of the transformation that changes the fields of values, if one may.
    pub(super) value_changed_by: Option<String>,
    steps: Vec<(Predicate, Step)>,
    /// The connector's own headers, which a pipeline does not write.
    context: Vec<String>,
}

/// The effect of one transformation on a record that its predicate holds for.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Topic(TopicRoute),
    TimestampedTopic(TimestampedTopic),
    Value(ValueStep),
    Insert(InsertedHeader),
    DropHeaders(Vec<String>),
    DropNullValue,
    DropRecord,
}

/// Whether a record passes all transformations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Passage<'a> {
    /// It passes, and its value is changed so.
    Passed(Vec<ValueChange<'a>>),
    Dropped(DroppedBy),
}

impl AfterRouter {
    pub(super) fn push(&mut self, predicate: Predicate, step: Step, source: &Source) {
        self.context.clone_from(&source.headers);
        self.steps.push((predicate, step));
    }

    /// Returns whether records have the topics that the router gave them.
    pub(crate) fn keeps_topics(&self) -> bool {
        !self.steps.iter().any(|(_, step)| matches!(step, Step::Topic(_) | Step::TimestampedTopic(_)))
    }

    /// Returns whether records have other headers than those of the router.
    pub(crate) fn has_other_headers(&self) -> bool {
        let is_change = |step: &Step| matches!(step, Step::Insert(_) | Step::DropHeaders(_));
        !self.leading.is_empty() || self.steps.iter().any(|(_, step)| is_change(step))
    }

    /// Returns the parts of records that later transformations may find changed.
    pub(super) fn changes(&self) -> Changes {
        Changes { topics: !self.keeps_topics(), headers: self.has_other_headers() }
    }

    /// Returns the key of the transformation that drops the header `id`, if one may.
    pub(crate) fn id_dropped_by(&self) -> Option<&str> {
        self.id_dropped_by.as_deref()
    }

    /// Returns the key of the transformation that changes the fields of values, if one may.
    pub(crate) fn value_changed_by(&self) -> Option<&str> {
        self.value_changed_by.as_deref()
    }

    /// Returns the headers that come before the router's own.
    pub(crate) fn leading(&self) -> &[InsertedHeader] {
        &self.leading
    }

    /// Returns the topic that names the schemas of rows, if it is another one than Debezium's.
    pub(crate) fn schemas_of(&self) -> Option<&str> {
        self.schemas_of.as_deref()
    }

    /// Applies the transformations to a record without its value. `is_null` says whether its value was null before it
    /// was converted.
    ///
    /// # Errors
    /// A regular expression takes too long at the record's topic, or a topic has the time and the record has none.
    pub(crate) fn apply<'a>(&'a self, record: &mut RecordRef<'a>, is_null: bool) -> Result<Passage<'a>, Error> {
        let mut changes = Vec::new();
        for (predicate, step) in &self.steps {
            let has_header = |name: &str| {
                record.headers.iter().any(|(header, _)| *header == name)
                    || self.context.iter().any(|header| header == name)
            };
            if !predicate.holds(&record.topic, is_null, has_header)? {
                continue;
            }
            match step {
                Step::Topic(route) => record.topic = route.topic(&record.topic)?,
                Step::TimestampedTopic(timestamped) => {
                    let topic = record.timestamp.and_then(|at| timestamped.topic(&record.topic, at));
                    let reason = "it is NULL or after the year 9999, and a TimestampRouter needs it for the topic";
                    record.topic = topic.ok_or_else(|| Error::encode("timestamp", reason))?;
                }
                // Without a value, it stays as it is.
                Step::Value(_) if is_null => {}
                Step::Value(value) => changes.push(value.change(&record.topic)),
                Step::Insert(header) => record.headers.push((&header.name, Some(Cow::Borrowed(&header.value)))),
                Step::DropHeaders(names) => {
                    record.headers.retain(|(header, _)| names.iter().all(|name| name != header))
                }
                Step::DropNullValue if !is_null => {}
                Step::DropNullValue => return Ok(Passage::Dropped(DroppedBy::NullValue)),
                Step::DropRecord => return Ok(Passage::Dropped(DroppedBy::Filter)),
            }
        }
        Ok(Passage::Passed(changes))
    }
}
