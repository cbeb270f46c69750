use crate::Lsn;
use crate::position::Position;

/// The part of the WAL that a predecessor may have read, and so may have written already or may still write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// The slot's confirmed position, asked after the slot was acquired.
    pub(crate) confirmed: Lsn,
    /// The server's WAL flush position, asked after the slot was acquired. The previous holder of the slot has read
    /// nothing from here on. Too small a value accepts duplicates, too large a value costs reads; neither loses a row.
    pub(crate) end: Lsn,
}

impl Window {
    pub(super) fn holds(&self, position: Position) -> bool {
        position.commit < self.end
    }
}

/// How large a batch may become.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BatchLimit {
    pub(crate) rows: usize,
    pub(crate) bytes: usize,
}
