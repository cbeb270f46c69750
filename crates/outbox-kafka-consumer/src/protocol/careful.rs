/// What is done with an event whose start alone was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Alone {
    Handle,
    /// It was alone in flight too often when the process ended.
    Poison,
}

impl Alone {
    /// `starts` counts this one too; `limit` is how many ends of the process are one event's fault.
    pub(crate) fn of(starts: i32, limit: u32) -> Self {
        if i64::from(starts) > i64::from(limit) { Self::Poison } else { Self::Handle }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_poison_after_so_many_starts_without_an_end() {
        assert_eq!(
            [1, 2, 3, 4].map(|starts| Alone::of(starts, 3)),
            [Alone::Handle, Alone::Handle, Alone::Handle, Alone::Poison]
        );
    }
}
