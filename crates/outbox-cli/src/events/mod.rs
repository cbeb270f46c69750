//! `outbox events`: traces single events, and verifies that all of them arrived.

mod command;
mod log;
mod rows;
mod show;
mod tail;
mod topics;
mod verify;

pub(crate) use self::command::EventsCommand;
