use std::time::Duration;

use clap::{Args, Subcommand};
use outbox_core::time::format_description::well_known::Rfc3339;
use outbox_kafka_consumer::{EventState, FailedEvent, FailedEventFilter, FailureKind, Group};
use serde::Serialize;

use super::StoreOptions;
use super::partitions::{exists, failure};
use crate::exit::{Exit, Failure};
use crate::output::{Output, Part, Report, or_dash};
use crate::prompt::Confirmation;

const EXAMPLES: &str = "Examples:
  outbox dead-letters list stock
  outbox dead-letters list stock --topic outbox.events.order --error timeout
  outbox dead-letters show stock 42 --payload
  outbox dead-letters retry stock 42 43
  outbox dead-letters retry stock --all --error 'connection refused'
  outbox dead-letters discard stock 42 --yes";

#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum DeadLettersCommand {
    /// Lists the dead letters of a group, or with --parked the events that wait for another attempt
    List {
        /// The group
        group: String,
        #[command(flatten)]
        filter: Filter,
        /// List at most this many
        #[arg(long, value_name = "EVENTS", default_value_t = 100)]
        limit: u32,
    },
    /// Shows one held event
    Show {
        /// The group
        group: String,
        /// The number of the event
        id: i64,
        /// Show key, headers and payload, which may be confidential
        #[arg(long)]
        payload: bool,
    },
    /// Lets the group handle held events again, with all of their attempts
    Retry(Chosen),
    /// Gives held events up: their effects never happen, and later events of their keys continue
    Discard {
        #[command(flatten)]
        chosen: Chosen,
        #[command(flatten)]
        confirmation: Confirmation,
    },
}

/// The selection of held events.
#[derive(Args)]
pub(crate) struct Filter {
    /// Events that wait for another attempt, in place of dead letters
    #[arg(long)]
    parked: bool,
    /// Only events of this topic
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Only events of this partition
    #[arg(long, value_name = "PARTITION")]
    partition: Option<i32>,
    /// Only events of this type
    #[arg(long, value_name = "TYPE")]
    event_type: Option<String>,
    /// Only events of this key, which is the aggregate's id
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Only events with this kind of failure, as list shows it
    #[arg(long, value_name = "KIND", value_parser = kind)]
    kind: Option<FailureKind>,
    /// Only events whose error holds this text
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
}

/// Held events by their numbers, or all that a filter lets through.
#[derive(Args)]
pub(crate) struct Chosen {
    /// The group
    group: String,
    /// The numbers of the events, as list shows them
    #[arg(conflicts_with = "all")]
    ids: Vec<i64>,
    /// All events that the filter lets through
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: Filter,
}

impl DeadLettersCommand {
    pub(crate) async fn run(self, store: &StoreOptions, output: Output, limit: Duration) -> Result<Exit, Failure> {
        match self {
            Self::List { group: name, filter, limit: most } => {
                let group = store.group(&name, limit).await?;
                let events = group.list(filter.parse(), None, most).await.map_err(|e| failure(&e))?;
                if events.is_empty() {
                    exists(&group, &name).await?;
                }
                output.print(&Listed { events: events.iter().map(Letter::of).collect() })?;
            }
            Self::Show { group, id, payload } => {
                let found = store.group(&group, limit).await?.show(id).await.map_err(|e| failure(&e))?;
                let (held, record) =
                    found.ok_or_else(|| Failure::not_found(format!("the group {group} holds no event {id}")))?;
                let record = payload.then(|| Content::of(&record));
                output.print(&Shown { event: Letter::of(&held), record })?;
            }
            Self::Retry(chosen) => {
                let group = chosen.group(store, limit).await?;
                chosen.check(&group).await?;
                let events = match chosen.all {
                    true => group.retry_all(chosen.filter.parse()).await.map_err(|e| failure(&e))?,
                    false => {
                        for id in &chosen.ids {
                            group.retry(*id).await.map_err(|e| failure(&e))?;
                        }
                        chosen.ids.len() as u64
                    }
                };
                output.print(&Requested { action: "retry", events })?;
            }
            Self::Discard { chosen, confirmation } => {
                let group = chosen.group(store, limit).await?;
                let count = chosen.check(&group).await?;
                confirmation.ask(&format!("Give up {count} events for good?"))?;

                let events = match chosen.all {
                    true => group.discard_all(chosen.filter.parse()).await.map_err(|e| failure(&e))?,
                    false => {
                        for id in &chosen.ids {
                            group.discard(*id).await.map_err(|e| failure(&e))?;
                        }
                        count
                    }
                };
                output.print(&Requested { action: "discard", events })?;
            }
        }
        Ok(Exit::Success)
    }
}

impl Chosen {
    /// Returns the group. Fails if no event is named.
    async fn group(&self, store: &StoreOptions, limit: Duration) -> Result<Group, Failure> {
        if self.ids.is_empty() && !self.all {
            let message = "no events are named: give their numbers, as outbox dead-letters list shows them, or --all";
            return Err(Failure::usage(message));
        }
        store.group(&self.group, limit).await
    }

    /// Checks that the group and all event numbers exist before any request is stored. Returns the number of selected
    /// events.
    async fn check(&self, group: &Group) -> Result<u64, Failure> {
        if self.all {
            let count = group.count(self.filter.parse()).await.map_err(|e| failure(&e))?;
            if count == 0 {
                exists(group, &self.group).await?;
            }
            return Ok(count);
        }
        for id in &self.ids {
            if group.show(*id).await.map_err(|e| failure(&e))?.is_none() {
                let message = format!("the group {} holds no event {id}, and nothing was asked for", self.group);
                return Err(Failure::not_found(message));
            }
        }
        Ok(self.ids.len() as u64)
    }
}

impl Filter {
    fn parse(&self) -> FailedEventFilter {
        let mut filter = FailedEventFilter::from(if self.parked { EventState::Parked } else { EventState::Dead });
        if let Some(topic) = &self.topic {
            filter = filter.topic(topic.as_str());
        }
        if let Some(partition) = self.partition {
            filter = filter.partition(partition);
        }

        if let Some(event_type) = &self.event_type {
            filter = filter.event_type(event_type.as_str());
        }

        if let Some(kind) = self.kind {
            filter = filter.kind(kind);
        }
        if let Some(text) = &self.error {
            filter = filter.error_contains(text.as_str());
        }
        if let Some(key) = &self.key {
            filter = filter.key(key.as_bytes());
        }
        filter
    }
}

/// Reads the name of a kind of failure.
fn kind(name: &str) -> Result<FailureKind, String> {
    FailureKind::from_name(name).ok_or_else(|| format!("there is no kind of failure {name:?}"))
}

/// A held event, without its payload.
#[derive(Serialize)]
struct Letter {
    id: i64,
    state: &'static str,
    topic: String,
    partition: i32,
    offset: i64,
    event_id: Option<String>,
    event_type: Option<String>,
    attempts: u32,
    kind: &'static str,
    error: String,
    first_failed_at: String,
    last_failed_at: String,
    next_attempt_at: Option<String>,
}

impl Letter {
    fn of(held: &FailedEvent) -> Self {
        let time = |at: outbox_core::time::OffsetDateTime| at.format(&Rfc3339).unwrap_or_default();
        Self {
            id: held.id,
            state: held.state.name(),
            topic: held.topic.clone(),
            partition: held.partition,
            offset: held.offset,
            event_id: held.event_id.map(|id| id.to_string()),
            event_type: held.event_type.clone(),
            attempts: held.attempts,
            kind: held.kind.name(),
            error: held.error.clone(),
            first_failed_at: time(held.first_failed_at),
            last_failed_at: time(held.last_failed_at),
            next_attempt_at: held.next_attempt_at.map(time),
        }
    }
}

#[derive(Serialize)]
struct Listed {
    events: Vec<Letter>,
}

impl Report for Listed {
    fn parts(&self) -> Vec<Part> {
        if self.events.is_empty() {
            return vec![Part::Line("no events are held".to_owned())];
        }
        let row = |one: &Letter| {
            let place = format!("{}/{}@{}", one.topic, one.partition, one.offset);
            let (id, attempts) = (one.id.to_string(), one.attempts.to_string());
            vec![id, place, attempts, one.kind.to_owned(), one.last_failed_at.clone(), one.error.clone()]
        };
        let head = &["id", "topic/partition@offset", "attempts", "kind", "last failed at", "error"];
        vec![Part::Table { head, rows: self.events.iter().map(row).collect() }]
    }
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    event: Letter,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<Content>,
}

/// The record as it was received.
#[derive(Serialize)]
struct Content {
    key: Option<String>,
    headers: Vec<(String, Option<String>)>,
    value: Option<String>,
}

impl Content {
    fn of(record: &outbox_core::record::Record) -> Self {
        let text = |bytes: &Option<outbox_core::bytes::Bytes>| {
            bytes.as_ref().map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        };
        Self {
            key: text(&record.key),
            headers: record.headers.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
            value: text(&record.value),
        }
    }
}

impl Report for Shown {
    fn parts(&self) -> Vec<Part> {
        let one = &self.event;
        let mut fields = vec![
            ("id", one.id.to_string()),
            ("state", one.state.to_owned()),
            ("topic", one.topic.clone()),
            ("partition", one.partition.to_string()),
            ("offset", one.offset.to_string()),
            ("event id", or_dash(one.event_id.as_deref())),
            ("event type", or_dash(one.event_type.as_deref())),
            ("attempts", one.attempts.to_string()),
            ("kind", one.kind.to_owned()),
            ("error", one.error.clone()),
            ("first failed at", one.first_failed_at.clone()),
            ("last failed at", one.last_failed_at.clone()),
            ("next attempt at", or_dash(one.next_attempt_at.as_deref())),
        ];

        if let Some(record) = &self.record {
            fields.push(("key", or_dash(record.key.as_deref())));
            let header = |(name, value): &(String, Option<String>)| format!("{name}={}", or_dash(value.as_deref()));
            fields.push(("headers", record.headers.iter().map(header).collect::<Vec<_>>().join(", ")));
            fields.push(("payload", or_dash(record.value.as_deref())));
        }
        vec![Part::Fields(fields)]
    }
}

#[derive(Serialize)]
struct Requested {
    action: &'static str,
    events: u64,
}

impl Report for Requested {
    fn parts(&self) -> Vec<Part> {
        let (action, count) = (self.action, self.events);
        vec![Part::Line(format!(
            "{action} requested for {count} events: the consumer that reads their partitions does it"
        ))]
    }
}
