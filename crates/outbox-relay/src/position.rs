use std::fmt::Write as _;

use crate::Lsn;

/// Where a row is in the WAL: its transaction's commit, and its place among the inserts into the outbox table in that
/// transaction, from 0. The LSN of the row itself would not do: COPY and multi-row inserts share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position {
    pub(crate) commit: Lsn,
    pub(crate) index: u32,
}

/// Which WAL a position is in, as `system/timeline/slot/`. The same numbers mean other rows elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin(Box<str>);

/// The name of the one header that the relay adds to what the EventRouter writes.
pub(crate) const HEADER: &str = "outbox.position";

impl Origin {
    pub(crate) fn new(system: u64, timeline: u32, slot: &str) -> Self {
        Self(format!("{system}/{timeline}/{slot}/").into())
    }

    /// The header's text: `system/timeline/slot/commit/index`, with the commit as PostgreSQL writes it.
    pub(crate) fn header(&self, position: Position) -> String {
        // Longer than any: 17 for the commit, 10 for the index.
        let mut text = String::with_capacity(self.0.len() + 28);
        text.push_str(&self.0);
        _ = write!(text, "{}/{}", position.commit, position.index);
        text
    }

    /// The position in a header's text, if it is one of this origin.
    pub(crate) fn position(&self, header: &[u8]) -> Option<Position> {
        let text = std::str::from_utf8(header.strip_prefix(self.0.as_bytes())?).ok()?;
        let (commit, index) = text.rsplit_once('/')?;
        Some(Position { commit: commit.parse().ok()?, index: index.parse().ok()? })
    }

    /// Whether a header is one of this slot from before a failover: its numbers mean nothing here, but the row may have
    /// come along.
    pub(crate) fn is_on_another_timeline(&self, header: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(header) else { return false };
        let (mut theirs, mut ours) = (text.split('/'), self.0.split('/'));
        let is_this_system = theirs.next() == ours.next();
        let (timeline, own) = (theirs.next(), ours.next());
        let is_other = timeline != own && timeline.is_some_and(|timeline| timeline.parse::<u32>().is_ok());
        is_this_system && is_other && theirs.next() == ours.next()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_header_tells_its_position_to_its_origin_only(
            system in any::<u64>(), timeline in any::<u32>(), slot in "[a-z0-9_]{1,63}", commit in any::<u64>(), index in any::<u32>()
        ) {
            let origin = Origin::new(system, timeline, &slot);
            let position = Position { commit: Lsn::new(commit), index };
            let header = origin.header(position);
            prop_assert_eq!(origin.position(header.as_bytes()), Some(position));
            prop_assert!(!origin.is_on_another_timeline(header.as_bytes()));
            let other = Origin::new(system, timeline.wrapping_add(1), &slot);
            prop_assert_eq!(other.position(header.as_bytes()), None);
            prop_assert!(other.is_on_another_timeline(header.as_bytes()));
            let other = Origin::new(system, timeline.wrapping_add(1), &format!("{slot}_"));
            prop_assert!(!other.is_on_another_timeline(header.as_bytes()));
        }
    }
    /// Consumers' tests are to meet what the relay writes.
    #[test]
    fn the_testkit_s_positions_are_those_of_the_relay() {
        let pipeline = outbox_core::Pipeline::recommended();
        let (origin, records) =
            (Origin::new(7_000_000_000_000_000_000, 1, "outbox"), outbox_testkit::PublishedRecords::by_relay(pipeline));
        let event = outbox_core::OutboxEvent::builder("order", "1", "OrderCreated").build().unwrap();
        let positions = (0..3).map(|_| {
            let record = records.of(&event).unwrap();
            let header = record.header(HEADER).unwrap();
            let position = origin.position(header).unwrap();
            assert_eq!(origin.header(position).as_bytes(), header);
            position
        });
        assert!(positions.is_sorted());
    }
}
