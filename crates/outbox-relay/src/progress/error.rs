use crate::Lsn;

/// The WAL did not come in order: it is not the continuation of what came before, so everything starts anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the WAL is out of turn: {got} came after {last}")]
pub(crate) struct OutOfTurn {
    pub(crate) last: Lsn,
    pub(crate) got: Lsn,
}
