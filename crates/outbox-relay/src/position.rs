use std::fmt::{self, Write as _};
use std::str::FromStr;

use outbox_core::uuid::Uuid;
use outbox_core::uuid::fmt::Hyphenated;

use crate::Lsn;

/// The place of a row in the WAL: its transaction's commit, and its place among the inserts into the outbox table in
/// that transaction, from 0. The LSN of the row itself would not do: COPY and multi-row inserts share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Position {
    pub(crate) commit: Lsn,
    pub(crate) index: u32,
}

/// Which WAL a position is in, as `system/timeline/slot/`. The same numbers mean other rows elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Origin(Box<str>);

/// The name of the header that the relay adds to the EventRouter's.
pub(crate) const HEADER: &str = "outbox.position";

impl Origin {
    pub(crate) fn new(system: u64, timeline: u32, slot: &str) -> Self {
        Self(format!("{system}/{timeline}/{slot}/").into())
    }

    /// Returns the header's text: `system/timeline/slot/commit/index`, with the commit as PostgreSQL writes it.
    pub(crate) fn header(&self, position: Position) -> String {
        // The capacity is enough for any position: 17 for the commit, 10 for the index.
        let mut text = String::with_capacity(self.0.len() + 28);
        text.push_str(&self.0);
        _ = write!(text, "{}/{}", position.commit, position.index);
        text
    }

    /// Returns the text for a record without the header `id`, which ends with `/event`.
    pub fn header_with_event(&self, position: Position, event: Uuid) -> String {
        format!("{}/{event}", self.header(position))
    }

    /// Returns where a header's text places its record.
    pub(crate) fn place(&self, header: &[u8]) -> Placed {
        let here = || Some(Placed::Here(parse_position(header.strip_prefix(self.0.as_bytes())?)?));
        here().or_else(|| self.on_another_timeline(header).map(Placed::OtherTimeline)).unwrap_or(Placed::Elsewhere)
    }

    fn on_another_timeline(&self, header: &[u8]) -> Option<Position> {
        let (mut theirs, mut ours) = (header.splitn(4, |byte| *byte == b'/'), self.0.split('/'));
        let is_this_system = theirs.next()? == ours.next()?.as_bytes();
        // The origin differs, or else the prefix would be the same.
        let _: u32 = std::str::from_utf8(theirs.next()?).ok()?.parse().ok()?;
        ours.next()?;
        let is_this_slot = theirs.next()? == ours.next()?.as_bytes();
        (is_this_system && is_this_slot).then(|| parse_position(theirs.next()?)).flatten()
    }
}

/// The place of a record in the order of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placed {
    /// At this position of the origin.
    Here(Position),
    /// At this position of the same slot on another timeline of the same system.
    OtherTimeline(Position),
    /// In another system or slot. Its numbers mean nothing here.
    Elsewhere,
}

/// Returns the event that a header's text ends with, if the record has no header `id`.
pub fn event_of(header: &[u8]) -> Option<Uuid> {
    split_event(std::str::from_utf8(header).ok()?).1
}

/// Splits the event off a text, if it ends with one.
fn split_event(text: &str) -> (&str, Option<Uuid>) {
    match text.rsplit_once('/') {
        // A UUID is longer than an index.
        Some((place, event)) if event.len() == Hyphenated::LENGTH => (place, Uuid::try_parse(event).ok()),
        _ => (text, None),
    }
}

/// Parses the end of a header's text, `commit/index`, and the event after it.
fn parse_position(text: &[u8]) -> Option<Position> {
    let (place, _) = split_event(std::str::from_utf8(text).ok()?);
    let (commit, index) = place.rsplit_once('/')?;
    Some(Position { commit: commit.parse().ok()?, index: index.parse().ok()? })
}

/// The position of a row of the outbox in the WAL of one slot.
///
/// Errors and the header `outbox.position` show it as `SYSTEM/TIMELINE/SLOT/COMMIT/INDEX`: the system identifier, the
/// timeline, the slot, the LSN of the transaction's commit, and the row's place among the rows of its transaction.
///
/// ```
/// use outbox_relay::RowPosition;
///
/// let text = "7570000000000000001/1/outbox/16/B374D848/3";
/// assert_eq!(text.parse::<RowPosition>()?.to_string(), text);
/// # Ok::<(), outbox_relay::ParseRowPositionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowPosition {
    origin: Origin,
    position: Position,
}

/// The reason why a text is no [`RowPosition`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a row's position is SYSTEM/TIMELINE/SLOT/COMMIT/INDEX, such as 7570000000000000001/1/outbox/16/B374D848/3")]
#[non_exhaustive]
pub struct ParseRowPositionError;

impl RowPosition {
    pub(crate) fn new(origin: Origin, position: Position) -> Self {
        Self { origin, position }
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }
}

impl fmt::Display for RowPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin.header(self.position))
    }
}

impl FromStr for RowPosition {
    type Err = ParseRowPositionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_row_position(text.trim()).ok_or(ParseRowPositionError)
    }
}

fn parse_row_position(text: &str) -> Option<RowPosition> {
    let mut parts = text.splitn(4, '/');
    let (system, timeline, slot) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?);
    let position = parse_position(parts.next()?.as_bytes())?;
    let is_slot = !slot.is_empty() && slot.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    is_slot.then(|| RowPosition::new(Origin::new(system, timeline, slot), position))
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
            prop_assert_eq!(origin.place(header.as_bytes()), Placed::Here(position));
            prop_assert_eq!(event_of(header.as_bytes()), None);
            let event = Uuid::from_u128(u128::from(system));
            let with_event = origin.header_with_event(position, event);
            prop_assert_eq!(origin.place(with_event.as_bytes()), Placed::Here(position));
            prop_assert_eq!(event_of(with_event.as_bytes()), Some(event));

            let other = Origin::new(system, timeline.wrapping_add(1), &slot);
            prop_assert_eq!(other.place(header.as_bytes()), Placed::OtherTimeline(position));

            for timeline in [timeline, timeline.wrapping_add(1)] {
                let other = Origin::new(system, timeline, &format!("{slot}_"));
                prop_assert_eq!(other.place(header.as_bytes()), Placed::Elsewhere);
                let other = Origin::new(system.wrapping_add(1), timeline, &slot);
                prop_assert_eq!(other.place(header.as_bytes()), Placed::Elsewhere);
            }
        }
        #[test]
        fn any_bytes_have_a_place(header in any::<Vec<u8>>()) {
            Origin::new(7, 1, "outbox").place(&header);
            event_of(&header);
        }
    }
    /// Consumers' tests must get the header in the form that the relay writes.
    #[test]
    fn the_testkit_s_positions_are_those_of_the_relay() {
        let pipeline = outbox_core::Pipeline::recommended();
        let (origin, records) =
            (Origin::new(7_000_000_000_000_000_000, 1, "outbox"), outbox_testkit::PublishedRecords::by_relay(pipeline));
        let event = outbox_core::OutboxEvent::builder("order", "1", "OrderCreated").build().unwrap();
        let positions = (0..3).map(|_| {
            let record = records.of(&event).unwrap();
            let header = record.header(HEADER).unwrap();
            let Placed::Here(position) = origin.place(header) else { panic!("{header:?}") };
            assert_eq!(origin.header(position).as_bytes(), header);
            position
        });
        assert!(positions.is_sorted());
    }
}

#[cfg(test)]
mod row_position_tests {
    use super::*;

    #[test]
    fn only_whole_positions_are_positions() {
        for wrong in ["", "16/B374D848/3", "7/1/outbox/16/B374D848", "7/1/out box/16/B374D848/3", "7/1//16/B374D848/3"]
        {
            assert_eq!(wrong.parse::<RowPosition>(), Err(ParseRowPositionError), "{wrong}");
        }
    }
}
