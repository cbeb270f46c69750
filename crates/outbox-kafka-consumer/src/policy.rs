//! The policies that a consumer's builder takes. The settings of one handler are in `handler/policy.rs`, the policy for
//! retries in `protocol/retry.rs`. `runtime/` applies them: `item.rs` to records, `failed.rs` to failed events,
//! `partition.rs` to positions.

use std::num::NonZeroU32;
use std::time::Duration;

/// The treatment of an event whose attempts are used up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeadLetterMode {
    /// It becomes a dead letter, and the later events of its key wait behind it, in order, until it is retried or
    /// discarded. Other keys continue.
    #[default]
    BlockKey,
    /// It becomes a dead letter, and the later events of its key continue without it: they may depend on an effect that
    /// did not happen, and a retry of the dead letter is out of order.
    ContinueKey,
}

/// The isolation level of the transactions that handlers run in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Isolation {
    /// Each statement sees what is committed when it starts.
    #[default]
    ReadCommitted,
    /// All statements see what was committed when the transaction began. A handler that updates a row that has changed
    /// since is called again.
    RepeatableRead,
    /// The outcome is that of handlers that run one after the other. A handler whose transaction does not fit is called
    /// again.
    Serializable,
}

impl Isolation {
    pub(crate) fn sql(self) -> &'static str {
        match self {
            Self::ReadCommitted => "READ COMMITTED",
            Self::RepeatableRead => "REPEATABLE READ",
            Self::Serializable => "SERIALIZABLE",
        }
    }
}

/// The policy for a record that no handler can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordPolicy {
    /// It is skipped.
    Skip,
    /// It becomes a dead letter, as an event that failed.
    DeadLetter,
    /// It is parked and its key waits, in order, until a consumer of the group can take it. It is tried again after 1 s
    /// at first and after 32 s at most, without an end.
    Park,
    /// Its partition is stopped, with an error that says which record it is. Others continue.
    Stop,
}

/// The position at which a group begins in a partition that it has never read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum InitialOffset {
    /// At the first record that is there.
    #[default]
    Earliest,
    /// After the last record, if the partition existed when the group first looked for its topic. The group begins at
    /// the first record of a topic or partition that appeared later.
    Latest,
}

/// The policy if the topic does not hold the group's position any more: retention has removed what is there, or the
/// topic was deleted and created again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnOffsetOutOfRange {
    /// The partition is stopped, with an error: to continue would skip events silently.
    #[default]
    Stop,
    /// The group begins again at the first record that is there, with a warning. Events that it has handled are not
    /// handled again.
    Earliest,
}

/// Pauses an event type when its events fail one after the other, because something that the handler depends on is
/// down.
///
/// Without it, every event that fails is parked, so that a long outage parks all events. With it, the event at which
/// the breaker opens and those after it wait unread, and no attempt is counted. After the pause the handler is called
/// again: if it fails, the next pause begins. Only errors without a [hint](crate::HandlerError::reject) and timeouts
/// count, and only the first attempt of each event; a success sets the count to 0.
///
/// ```
/// use std::{num::NonZeroU32, time::Duration};
/// use outbox_kafka_consumer::CircuitBreaker;
///
/// let breaker = CircuitBreaker::new(const { NonZeroU32::new(20).unwrap() }, Duration::from_secs(30));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitBreaker {
    failures: NonZeroU32,
    pause: Duration,
}

impl CircuitBreaker {
    /// Creates a breaker that opens after that many failures in a row, for this pause.
    #[must_use]
    pub fn new(failures: NonZeroU32, pause: Duration) -> Self {
        Self { failures, pause }
    }

    pub(crate) fn failures(self) -> u32 {
        self.failures.get()
    }

    pub(crate) fn pause(self) -> Duration {
        self.pause
    }
}

/// Which client library reads the records of partitions.
///
/// | | `Rskafka` | `Native` |
/// |---|---|---|
/// | topics of transactional producers | pauses at a marker | reads committed records |
/// | a header with a null value | pauses | reads it |
/// | repeated header names | keeps the last one | keeps all |
/// | `message.timestamp.type=LogAppendTime` | the producer's time | the broker's time |
/// | connections | one for each partition | one for each broker |
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reader {
    /// rskafka, and the native reader from the first record on that rskafka cannot read. The default.
    ///
    /// rskafka reads up to 16 partitions of a process at a time, and the native reader the others, because rskafka has
    /// a connection and fetches for each partition.
    ///
    /// A partition whose first batch has the broker's timestamps (`LogAppendTime`) is read natively from the start.
    /// Repeated header names are not detected: if events have some, choose [`Native`](Self::Native).
    #[default]
    Auto,
    /// rskafka only. A record that it cannot read pauses its partition.
    Rskafka,
    /// The workspace's own client, `outbox-kafka`.
    Native,
}
