//! The decisions of the runtime, as functions of values: no clock, no randomness, no I/O. The model checker of the
//! tests walks these very functions.

mod batch_size;
mod failure;
mod horizon;
mod lanes;
mod lease;
#[cfg(test)]
#[allow(clippy::cast_possible_wrap, clippy::cast_sign_loss, clippy::cast_possible_truncation)]
mod model;
mod offset_tracker;
mod pieces;
mod poison_check;
mod retry;
mod stages;

pub(crate) use self::batch_size::BatchSize;
pub use self::failure::FailureKind;
pub(crate) use self::failure::{SqlFault, sql_fault};
pub(crate) use self::horizon::{MoveRefused, check_move};
pub(crate) use self::lanes::lane_of;
pub(crate) use self::lease::{LeaseClock, Member, PartitionLease, assign};
pub(crate) use self::offset_tracker::OffsetTracker;
pub(crate) use self::pieces::Pieces;
pub(crate) use self::poison_check::PoisonCheck;
pub use self::retry::{FailedAttempt, RetryPolicy};
pub(crate) use self::stages::{Staged, stages};
