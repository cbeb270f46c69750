//! `outbox slot`: replication slots.

mod change;
mod command;
mod state;
mod unpublished;

pub(crate) use self::change::{Change, Consent, change};
pub(crate) use self::command::SlotCommand;
pub(crate) use self::state::SlotState;
pub(crate) use self::unpublished::{EventSource, Range, Unpublished, commit_time};
