//! `outbox events`: single events on their way, and whether all of them arrived.

mod command;
mod log;
mod rows;
mod show;
mod tail;
mod topics;
mod verify;

pub(crate) use self::command::EventsCommand;
