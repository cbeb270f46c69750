//! `outbox events tail`: shows events as they arrive in their topics, or as they are committed to the table.

mod command;
mod event;
mod printer;
mod table;
mod topic;

pub(crate) use self::command::Tail;
