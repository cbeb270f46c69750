use std::ops::ControlFlow;

use clap::Args;
use outbox_core::layout::EventField;
use serde::Serialize;

use super::super::rows::event_id;
use crate::exit::Failure;
use crate::output::{Output, Part, Report};

/// An event as it arrived. A part that its record or row does not have is missing.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct TailedEvent {
    pub(super) id: Option<String>,
    pub(super) aggregate_type: Option<String>,
    pub(super) aggregate_id: Option<String>,
    pub(super) event_type: Option<String>,
    /// The time at which the record was written, or the transaction of the row was committed.
    pub(super) at: String,
    #[serde(flatten)]
    pub(super) place: Place,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) payload: Option<String>,
    /// The reason why it is no event of the outbox.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// The place where an event was found.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Place {
    Record {
        topic: String,
        partition: i32,
        offset: i64,
    },
    /// A row that was committed while the table was read.
    Change {
        commit_lsn: String,
    },
    /// A row that was in the table before.
    Row {
        table: String,
    },
}

impl TailedEvent {
    /// Sets a part that is shown.
    pub(super) fn set(&mut self, field: EventField, text: String) {
        let part = match field {
            EventField::Id => &mut self.id,
            EventField::AggregateType => &mut self.aggregate_type,
            EventField::AggregateId => &mut self.aggregate_id,
            EventField::EventType => &mut self.event_type,
            EventField::Payload => &mut self.payload,
            _ => return,
        };
        *part = Some(text);
    }
}

impl Default for Place {
    fn default() -> Self {
        Self::Row { table: String::new() }
    }
}

/// Which events are shown: those that fit all options.
#[derive(Args, Clone, Debug)]
#[group(skip)]
pub(super) struct Filter {
    /// Only events of this aggregate type; may be repeated
    #[arg(long = "aggregate-type", value_name = "TYPE")]
    pub(super) aggregate_types: Vec<String>,
    /// Only events of aggregates with this id
    #[arg(long, value_name = "ID")]
    aggregate_id: Option<String>,
    /// Only events of this type
    #[arg(long, value_name = "TYPE")]
    event_type: Option<String>,
    /// Only the event with this id
    #[arg(long, value_name = "ID", value_parser = event_id)]
    id: Option<String>,
}

impl Filter {
    /// Returns whether an event is shown. A record that is no event of the outbox fits only if nothing is filtered.
    pub(super) fn fits(&self, event: &TailedEvent) -> bool {
        let fits = |wanted: Option<&str>, found: Option<&String>| {
            wanted.is_none_or(|wanted| found.is_some_and(|found| found == wanted))
        };
        let types = &self.aggregate_types;
        (types.is_empty() || event.aggregate_type.as_ref().is_some_and(|found| types.contains(found)))
            && fits(self.aggregate_id.as_deref(), event.aggregate_id.as_ref())
            && fits(self.event_type.as_deref(), event.event_type.as_ref())
            && fits(self.id.as_deref(), event.id.as_ref())
    }
}

impl Report for TailedEvent {
    fn parts(&self) -> Vec<Part> {
        let place = match &self.place {
            Place::Record { topic, partition, offset } => format!("{topic}[{partition}]@{offset}"),
            Place::Change { commit_lsn } => commit_lsn.clone(),
            Place::Row { table } => table.clone(),
        };
        let text = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
        let mut line = format!(
            "{}  {place}  {}/{}  {}  {}",
            self.at,
            text(&self.aggregate_type),
            text(&self.aggregate_id),
            text(&self.event_type),
            text(&self.id),
        );

        for more in [&self.payload, &self.error].into_iter().flatten() {
            line.push_str("  ");
            line.push_str(more);
        }

        // These texts come from outside: line breaks and escape sequences of the terminal are escaped.
        vec![Part::Line(line.replace(char::is_control, " "))]
    }
}

/// The start of the reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    End,
    Last(u64),
    Beginning,
    Offset(i64),
}

/// The printer of the events that fit the filter.
pub(super) struct Printer {
    output: Output,
    filter: Filter,
    shows_payload: bool,
    left: Option<u64>,
}

impl Printer {
    pub(super) fn new(output: Output, filter: Filter, shows_payload: bool, left: Option<u64>) -> Self {
        Self { output, filter, shows_payload, left }
    }

    /// Prints an event that fits the filter, and returns whether more events are to be printed.
    pub(super) fn print(&mut self, event: TailedEvent) -> Result<ControlFlow<()>, Failure> {
        if !self.filter.fits(&event) {
            return Ok(ControlFlow::Continue(()));
        }
        let payload = event.payload.clone().filter(|_| self.shows_payload);
        let flow = self.output.print_line(&TailedEvent { payload, ..event })?;
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok(if self.left == Some(0) { ControlFlow::Break(()) } else { flow })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> TailedEvent {
        let place = Place::Record { topic: "orders".to_owned(), partition: 2, offset: 7 };
        let [id, aggregate_type, aggregate_id, event_type] =
            ["0198c5b2-6b1e-7c3a-9f57-1d2e3f4a5b6c", "order", "1", "Placed"].map(|text| Some(text.to_owned()));
        let at = "2026-05-01T12:00:00Z".to_owned();
        TailedEvent { id, aggregate_type, aggregate_id, event_type, at, place, ..TailedEvent::default() }
    }

    #[test]
    fn an_event_fits_if_it_fits_all_filters() {
        let filter = |types: &[&str], aggregate_id: Option<&str>, id: Option<&str>| Filter {
            aggregate_types: types.iter().map(|&one| one.to_owned()).collect(),
            aggregate_id: aggregate_id.map(str::to_owned),
            event_type: None,
            id: id.map(str::to_owned),
        };
        assert!(filter(&[], None, None).fits(&event()));
        assert!(filter(&["user", "order"], Some("1"), event().id.as_deref()).fits(&event()));
        assert!(!filter(&["user"], Some("1"), None).fits(&event()));
        assert!(!filter(&["order"], Some("2"), None).fits(&event()));
        assert!(!filter(&["order"], None, None).fits(&TailedEvent { aggregate_type: None, ..event() }));
    }

    #[test]
    fn an_event_is_one_line() {
        let event = TailedEvent { payload: Some("{\n\u{1b}".to_owned()), ..event() };
        let [Part::Line(line)] = &event.parts()[..] else { panic!() };
        let expected = "2026-05-01T12:00:00Z  orders[2]@7  order/1  Placed  0198c5b2-6b1e-7c3a-9f57-1d2e3f4a5b6c  {  ";
        assert_eq!(line, expected);
    }
}
