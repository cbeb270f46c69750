//! The decisions of the runtime, as functions of values: no clock, no randomness, no I/O. The model checker of the
//! tests calls the same functions.

#![allow(unreachable_pub, reason = "the module is private, and the list of re-exports is what others see")]

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

pub use self::batch_size::BatchSize;
pub use self::failure::FailureKind;
pub use self::failure::{SqlFault, sql_fault};
pub use self::horizon::{MoveRefused, check_move};
pub use self::lanes::lane_of;
pub use self::lease::{LeaseClock, Member, PartitionLease, assign};
pub use self::offset_tracker::OffsetTracker;
pub use self::pieces::Pieces;
pub use self::poison_check::PoisonCheck;
pub use self::retry::{FailedAttempt, RetryPolicy};
pub use self::stages::{Staged, stages};
