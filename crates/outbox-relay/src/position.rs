use std::fmt;

use crate::Lsn;

/// Where a row is in the WAL: its transaction's commit, and its place among the inserts into the outbox table in that
/// transaction, from 0. The LSN of the row itself would not do: COPY and multi-row inserts share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position {
    pub(crate) commit: Lsn,
    pub(crate) index: u32,
}

/// Which WAL a position is in. The same numbers mean other rows on another system, timeline or slot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) system: u64,
    pub(crate) timeline: u32,
    pub(crate) slot: Box<str>,
}

/// The name of the one header that the relay adds to what the EventRouter writes.
pub(crate) const HEADER: &str = "outbox.position";

impl Origin {
    /// The header's text: `system/timeline/slot/commit/index`, with the commit as PostgreSQL writes it.
    pub(crate) fn header(&self, position: Position) -> String {
        format!("{}/{}/{}/{}/{}", self.system, self.timeline, self.slot, position.commit, position.index)
    }

    /// The position in a header's text, if it is one of this origin.
    pub(crate) fn position(&self, header: &[u8]) -> Option<Position> {
        let text = std::str::from_utf8(header).ok()?;
        let rest = text.strip_prefix(&format!("{self}/"))?;
        let (commit, index) = rest.rsplit_once('/')?;
        Some(Position { commit: commit.parse().ok()?, index: index.parse().ok()? })
    }

    /// Whether a header is one of this slot from before a failover: its numbers mean nothing here, but the row may have
    /// come along.
    pub(crate) fn is_on_another_timeline(&self, header: &[u8]) -> bool {
        let Ok(text) = std::str::from_utf8(header) else { return false };
        let mut parts = text.split('/');
        parts.next().and_then(|system| system.parse().ok()) == Some(self.system)
            && parts.next().and_then(|timeline| timeline.parse().ok()).is_some_and(|other: u32| other != self.timeline)
            && parts.next() == Some(&*self.slot)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.system, self.timeline, self.slot)
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
            let origin = Origin { system, timeline, slot: slot.into() };
            let position = Position { commit: Lsn::new(commit), index };
            let header = origin.header(position);
            prop_assert_eq!(origin.position(header.as_bytes()), Some(position));
            prop_assert!(!origin.is_on_another_timeline(header.as_bytes()));
            let other = Origin { timeline: timeline.wrapping_add(1), ..origin };
            prop_assert_eq!(other.position(header.as_bytes()), None);
            prop_assert!(other.is_on_another_timeline(header.as_bytes()));
            let other = Origin { slot: format!("{}_", other.slot).into(), ..other };
            prop_assert!(!other.is_on_another_timeline(header.as_bytes()));
        }
    }
}
