use std::ops::ControlFlow;

use super::event::{Filter, TailedEvent};
use crate::exit::Failure;
use crate::output::Output;

/// The start of the reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    End,
    Last(u64),
    Beginning,
    Offset(i64),
}

/// The printer of the events that fit the filter.
pub(super) struct Printer {
    output: Output,
    filter: Filter,
    shows_payload: bool,
    left: Option<u64>,
}

impl Printer {
    pub(super) fn new(output: Output, filter: Filter, shows_payload: bool, left: Option<u64>) -> Self {
        Self { output, filter, shows_payload, left }
    }

    /// Prints an event that fits the filter, and returns whether more events are to be printed.
    pub(super) fn print(&mut self, event: TailedEvent) -> Result<ControlFlow<()>, Failure> {
        if !self.filter.fits(&event) {
            return Ok(ControlFlow::Continue(()));
        }
        let payload = event.payload.clone().filter(|_| self.shows_payload);
        let flow = self.output.print_line(&TailedEvent { payload, ..event })?;
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok(if self.left == Some(0) { ControlFlow::Break(()) } else { flow })
    }
}
