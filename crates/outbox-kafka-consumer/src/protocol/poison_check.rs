/// The decision about an event that was started and not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoisonCheck {
    Handle,
    /// The process ended too often while only this event was in flight.
    Poison,
}

impl PoisonCheck {
    /// Creates the state: `ended` is how many processes in a row ended with it alone in flight; `limit` how many are
    /// one event's fault.
    pub fn of(ended: i64, limit: u32) -> Self {
        if ended >= i64::from(limit) { Self::Poison } else { Self::Handle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_poison_after_so_many_ends_of_the_process() {
        assert_eq!(
            [0, 1, 2, 3].map(|ended| PoisonCheck::of(ended, 3)),
            [PoisonCheck::Handle, PoisonCheck::Handle, PoisonCheck::Handle, PoisonCheck::Poison]
        );
    }
}
