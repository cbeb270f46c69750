use std::fmt;
use std::str::FromStr;

use crate::position::{Origin, Position};

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
        parse(text.trim()).ok_or(ParseRowPositionError)
    }
}

fn parse(text: &str) -> Option<RowPosition> {
    let mut parts = text.splitn(4, '/');
    let (system, timeline, slot) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?);
    let (commit, index) = parts.next()?.rsplit_once('/')?;
    let position = Position { commit: commit.parse().ok()?, index: index.parse().ok()? };
    let is_slot = !slot.is_empty() && slot.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    is_slot.then(|| RowPosition::new(Origin::new(system, timeline, slot), position))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_positions_are_positions() {
        for wrong in ["", "16/B374D848/3", "7/1/outbox/16/B374D848", "7/1/out box/16/B374D848/3", "7/1//16/B374D848/3"]
        {
            assert_eq!(wrong.parse::<RowPosition>(), Err(ParseRowPositionError), "{wrong}");
        }
    }
}
