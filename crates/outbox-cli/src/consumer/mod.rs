//! `outbox consumer` and `outbox dead-letters`: consumer groups and the events that they hold.

mod dead_letters;
mod partitions;

use std::time::Duration;

use clap::{Args, Subcommand};
use outbox_core::Identifier;
use outbox_kafka_consumer::{Group, MovePolicy, PauseTarget};
use serde::Serialize;

use self::partitions::{exists, failure};
use crate::exit::{Exit, Failure};
use crate::kafka::KafkaOptions;
use crate::model::identifier;
use crate::output::{Output, Part, Report, notice};
use crate::postgres::DatabaseOptions;

pub(crate) use self::dead_letters::DeadLettersCommand;
pub(crate) use self::partitions::{Partition, Partitions};

/// The place of the consumer's tables.
#[derive(Args, Clone, Debug)]
pub(crate) struct StoreOptions {
    #[command(flatten)]
    pub(crate) database: DatabaseOptions,
    /// The schema of the consumer's tables
    #[arg(long, value_name = "SCHEMA", default_value = "outbox", value_parser = identifier, global = true)]
    pub(crate) consumer_schema: Identifier,
}

const EXAMPLES: &str = "Examples:
  outbox consumer status stock --brokers kafka:9092
  outbox consumer pause stock --topic outbox.events.order --reason 'the price service is down'
  outbox consumer resume stock --topic outbox.events.order
  outbox consumer move stock outbox.events.order 0 --to 4711";

#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum ConsumerCommand {
    /// Shows the partitions of a group: position, lag, whether a consumer reads them, held events
    ///
    /// Exit code: 1 if a partition is paused, has an error, or is read by nobody.
    Status {
        /// The group
        group: String,
    },
    /// Pauses a group, a topic or an event type in all processes, until it is resumed
    Pause {
        /// The group
        group: String,
        #[command(flatten)]
        target: Target,
        /// The reason, which status and logs show
        #[arg(long, value_name = "TEXT", default_value = "paused by an operator")]
        reason: String,
    },
    /// Ends a pause of exactly this group, topic or event type
    Resume {
        /// The group
        group: String,
        #[command(flatten)]
        target: Target,
    },
    /// Moves the position of a partition; events that the inbox knows are not handled again
    Move {
        /// The group
        group: String,
        /// The topic
        topic: String,
        /// The partition
        partition: i32,
        /// The next offset to read
        #[arg(long, value_name = "OFFSET")]
        to: i64,
        /// Move even to where the inbox has forgotten what was handled: those events take effect again
        #[arg(long)]
        handle_again: bool,
    },
}

/// The part that is paused or resumed: the group, unless an option names a part of it.
#[derive(Args)]
pub(crate) struct Target {
    /// Only this topic
    #[arg(long, value_name = "TOPIC")]
    topic: Option<String>,
    /// Only events of this type in the topic
    #[arg(long, value_name = "TYPE", requires = "topic")]
    event_type: Option<String>,
}

impl Target {
    fn parse(self) -> PauseTarget {
        match (self.topic, self.event_type) {
            (None, _) => PauseTarget::Group,
            (Some(topic), None) => PauseTarget::Topic(topic),
            (Some(topic), Some(event_type)) => PauseTarget::EventType { topic, event_type },
        }
    }
}

impl ConsumerCommand {
    pub(crate) async fn run(
        self,
        store: &StoreOptions,
        kafka: &KafkaOptions,
        output: Output,
        limit: Duration,
    ) -> Result<Exit, Failure> {
        match self {
            Self::Status { group } => {
                let mut of_kafka = store.group(&group, limit).await?;
                if let Some(brokers) = kafka.brokers()? {
                    of_kafka = of_kafka.kafka(brokers, kafka.security()?.unwrap_or_default());
                }
                let partitions = Partitions::read(&of_kafka, &group).await?;
                if partitions.is_empty() {
                    return Err(Failure::not_found(format!("the group {group} has no positions")));
                }
                output.print(&partitions)?;
                Ok(if partitions.is_good() { Exit::Success } else { Exit::Finding })
            }
            Self::Pause { group, target, reason } => {
                let of_group = store.group(&group, limit).await?;
                of_group.pause(&target.parse(), &reason).await.map_err(|e| failure(&e))?;
                // A group may be paused before its first start.
                if let Err(missing) = exists(&of_group, &group).await {
                    notice(&format!("warning: {missing}"));
                }
                output.print(&Switched { group, state: "paused" })?;
                Ok(Exit::Success)
            }
            Self::Resume { group, target } => {
                let resumed = store.group(&group, limit).await?.resume(&target.parse()).await;
                if !resumed.map_err(|e| failure(&e))? {
                    return Err(Failure::not_found(format!("group {group} has no pause of this target")));
                }
                output.print(&Switched { group, state: "resumed" })?;
                Ok(Exit::Success)
            }
            Self::Move { group, topic, partition, to, handle_again } => {
                let of_group = store.group(&group, limit).await?;
                exists(&of_group, &group).await?;
                let horizon = if handle_again { MovePolicy::Force } else { MovePolicy::Respect };
                let moved = of_group.move_position(&topic, partition, to, horizon).await;
                moved.map_err(|e| failure(&e))?;
                output.print(&Moved { group, topic, partition, to })?;
                Ok(Exit::Success)
            }
        }
    }
}

impl StoreOptions {
    /// Returns a summary of what the group stores.
    pub(super) async fn group(&self, group: &str, limit: Duration) -> Result<Group, Failure> {
        Ok(Group::new(self.database.pool(limit).await?, &self.consumer_schema, group))
    }
}

#[derive(Serialize)]
struct Switched {
    group: String,
    state: &'static str,
}

impl Report for Switched {
    fn parts(&self) -> Vec<Part> {
        vec![Part::Line(format!("group {} {}", self.group, self.state))]
    }
}

#[derive(Serialize)]
struct Moved {
    group: String,
    topic: String,
    partition: i32,
    to: i64,
}

impl Report for Moved {
    fn parts(&self) -> Vec<Part> {
        let Self { group, topic, partition, to } = self;
        vec![Part::Line(format!("group {group} continues in topic {topic}, partition {partition}, at offset {to}"))]
    }
}
