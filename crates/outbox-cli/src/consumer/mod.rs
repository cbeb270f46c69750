//! `outbox consumer` and `outbox dead-letters`: consumer groups and the events that they hold.

mod command;
mod dead_letters;
mod partitions;

pub(crate) use self::command::{ConsumerCommand, StoreOptions};
pub(crate) use self::dead_letters::DeadLettersCommand;
pub(crate) use self::partitions::{Partition, Partitions};
