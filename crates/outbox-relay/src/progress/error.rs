use crate::Lsn;

/// The WAL did not come in order: it is not the continuation of what came before, so the session starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the WAL is out of order: {got} came after {last}")]
pub(crate) struct OutOfTurn {
    pub(crate) last: Lsn,
    pub(crate) got: Lsn,
}
