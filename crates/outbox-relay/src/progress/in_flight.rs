use super::action::Arrival;
use super::producer::Cursor;
use super::row::Row;

/// The one batch of a partition whose outcome is not known yet.
#[derive(Debug)]
pub(super) struct InFlightBatch<R> {
    pub(super) rows: Vec<Row<R>>,
    pub(super) at: Cursor,
    /// Error 0 is no proof: others may have used these sequence numbers for other rows.
    pub(super) check: bool,
    /// An attempt had no answer, so it may be appended at any later time.
    pub(super) unsure: bool,
    pub(super) verdict: Verdict,
    pub(super) attempts: u32,
    pub(super) bytes: usize,
    /// All of it is in the log: it is sent once more, to see how the broker answers then.
    pub(super) is_trial: bool,
}

/// Why the log is read while a batch is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Open,
    Appended(Arrival),
    Unknown,
    OutOfOrder,
    InvalidEpoch,
}
