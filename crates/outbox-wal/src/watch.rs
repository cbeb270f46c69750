use std::fmt;

use super::error::Error;
use super::options::ConnectOptions;
use super::session::{Purpose, Session};
use super::slot::{self, Source};

/// A connection that watches who holds a slot. Watching costs the server one small query each time and writes nothing
/// to its log, unlike an attempt to take the slot.
pub struct SlotWatch {
    session: Session,
    slot: Box<str>,
}

impl SlotWatch {
    /// Connects.
    pub async fn open(options: &ConnectOptions, source: &Source) -> Result<Self, Error> {
        Ok(Self { session: Session::open(options, Purpose::Sql).await?, slot: source.slot().into() })
    }

    /// Returns the process that holds the slot; none if the slot is free.
    pub async fn holder(&mut self) -> Result<Option<u32>, Error> {
        slot::holder(&mut self.session, &self.slot).await
    }
}

impl fmt::Debug for SlotWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SlotWatch").field("slot", &self.slot).finish_non_exhaustive()
    }
}
