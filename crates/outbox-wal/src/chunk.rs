use std::time::Duration;

use super::slot::SlotState;
use crate::Lsn;

/// The limits of one call of the function: its end, and the time until its first row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    pub upto: Lsn,
    /// The number of messages after which the server stops, at the next end of a transaction.
    pub messages: u32,
    pub time_limit: Duration,
}

/// The outcome of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    pub messages: u64,
    pub bytes: u64,
    /// The amount of WAL that contains the messages. The WAL before it, from `restart` on, was decoded without a
    /// message.
    pub wal: u64,
}

/// The messages of a chunk: enough that the overhead of a call does not matter, and few enough that the next chunk is
/// decoded while this one is written.
const MOST_MESSAGES: u64 = 128_000;
/// The messages of the first chunk, whose row size is unknown: ten megabytes do not delay a server.
const FIRST_MESSAGES: u64 = 2_000;
/// The factor by which the next chunk may be faster than the last one.
const GROWTH: u64 = 8;
/// The most bytes that the server keeps of a chunk.
const MOST_BYTES: u64 = 128 * MIB;
/// The WAL of the first chunk, which shows the kind of backlog.
const FIRST_WAL: u64 = 8 * MIB;
/// The WAL of a later chunk, which is the most that is decoded without success before a large transaction is noticed.
const LEAST_WAL: u64 = 64 * MIB;
/// The WAL for each message above which the stream is as fast, or faster if it is one large transaction.
const SPARSE: u64 = 8 * 1024;
/// The WAL per second that a healthy server exceeds. A slower server is read by the stream.
const SLOWEST: u64 = 32 * MIB;
const MIB: u64 = 1024 * 1024;

/// Reads the next chunk.
///
/// Each call goes through all WAL from the slot's restart position, which stays behind while an old transaction is
/// open: chunks grow with that distance, so that decoding up to the chunk costs less than the chunk. The time limit is
/// for reading the WAL, and for `patience`.
pub fn next(slot: SlotState, until: Lsn, last: Option<Report>, patience: Duration) -> Chunk {
    let distance = slot.distance();
    let window = if last.is_none() { FIRST_WAL } else { distance.saturating_mul(2).max(LEAST_WAL) };
    let upto = Lsn::new(slot.confirmed_flush_lsn.as_u64().saturating_add(window)).min(until);
    let messages = match last {
        None => FIRST_MESSAGES,
        Some(last) => {
            let size = (last.bytes / last.messages.max(1)).max(1);
            let grown = last.messages.max(FIRST_MESSAGES).saturating_mul(GROWTH).min(MOST_MESSAGES);
            grown.max(worth_the_way(distance, last)).min(MOST_BYTES / size)
        }
    };

    let way = distance.saturating_add(upto.as_u64().saturating_sub(slot.confirmed_flush_lsn.as_u64()));
    Chunk {
        upto,
        messages: u32::try_from(messages.clamp(1, u64::from(u32::MAX >> 1))).unwrap_or(1),
        time_limit: patience + Duration::from_secs(way / SLOWEST),
    }
}

/// Returns whether a call from `before` to `after` found so few messages that streaming the rest is better.
pub fn has_few_ends(before: SlotState, after: SlotState, read: Report) -> bool {
    let gone = after.confirmed_flush_lsn.as_u64().saturating_sub(before.confirmed_flush_lsn.as_u64());
    gone >= FIRST_WAL / 2 && read.messages.saturating_mul(SPARSE) < gone
}

/// Returns the number of messages in an amount of WAL that equals the WAL that is read again before them.
fn worth_the_way(distance: u64, last: Report) -> u64 {
    let messages = u128::from(distance) * u128::from(last.messages) / u128::from(last.wal.max(1));
    u64::try_from(messages).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);
    const UNTIL: Lsn = Lsn::new(1 << 40);

    fn slot(distance: u64) -> SlotState {
        SlotState {
            restart_lsn: Lsn::new(1 << 35),
            confirmed_flush_lsn: Lsn::new((1 << 35) + distance),
            is_failover: false,
        }
    }

    #[test]
    fn chunks_grow_until_the_call_does_not_count() {
        let mut chunk = next(slot(0), UNTIL, None, PATIENCE);
        let mut sizes = vec![chunk.messages];
        for _ in 0..4 {
            let messages = u64::from(chunk.messages);
            chunk =
                next(slot(0), UNTIL, Some(Report { messages, bytes: messages * 200, wal: messages * 150 }), PATIENCE);
            sizes.push(chunk.messages);
        }
        assert_eq!(sizes, [2_000, 16_000, 128_000, 128_000, 128_000]);
    }

    #[test]
    fn large_rows_make_small_chunks() {
        let last = Report { messages: 1_000, bytes: 1_000 * MIB, wal: 1_000 * MIB };
        assert_eq!(next(slot(0), UNTIL, Some(last), PATIENCE).messages, 128);
    }

    #[test]
    fn a_long_way_is_worth_a_large_chunk_only() {
        // An old transaction keeps the restart position 2 GiB behind.
        let last = Report { messages: 400_000, bytes: 400_000 * 100, wal: 100 * MIB };
        let far = next(slot(2_048 * MIB), UNTIL, Some(last), PATIENCE);
        assert_eq!(far.messages, 1_342_177);
        assert_eq!(far.upto, Lsn::new((1 << 35) + 3 * 2_048 * MIB));
        assert!(far.time_limit > next(slot(0), UNTIL, Some(last), PATIENCE).time_limit * 3);
    }

    proptest! {
        #[test]
        fn every_chunk_goes_on_and_not_too_far(
            restart in any::<u32>(), distance in any::<u32>(), left in 1_u64..1 << 45,
            last in proptest::option::of(any::<(u32, u32, u32)>())
        ) {
            let confirmed = u64::from(restart) + u64::from(distance);
            let slot = SlotState { restart_lsn: Lsn::new(restart.into()), confirmed_flush_lsn: Lsn::new(confirmed), is_failover: false };
            let until = Lsn::new(confirmed + left);
            let last = last.map(|(messages, bytes, wal)| Report {
                messages: messages.into(), bytes: bytes.into(), wal: wal.into()
            });
            let chunk = next(slot, until, last, PATIENCE);
            prop_assert!(chunk.messages > 0);
            prop_assert!(chunk.upto > slot.confirmed_flush_lsn && chunk.upto <= until);
            prop_assert!(chunk.time_limit >= PATIENCE);
        }
    }
}
