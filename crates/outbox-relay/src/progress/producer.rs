/// A producer id and its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Producer {
    pub(crate) id: i64,
    pub(crate) epoch: i16,
}

/// The sequence number of the next record that a producer writes to one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) producer: Producer,
    pub(super) next: i32,
}

impl Cursor {
    pub(super) fn first(producer: Producer) -> Self {
        Self { producer, next: 0 }
    }

    pub(super) fn after(producer: Producer, last: i32) -> Self {
        Self { producer, next: advanced(last, 1) }
    }

    pub(super) fn past(self, rows: usize) -> Self {
        Self { producer: self.producer, next: advanced(self.next, rows) }
    }
}

/// Returns the sequence number after more records. Sequence numbers wrap to 0 after `i32::MAX`, and the broker expects
/// just that.
fn advanced(sequence: i32, by: usize) -> i32 {
    let by = i32::try_from(by).unwrap_or(i32::MAX);
    sequence.wrapping_add(by) & i32::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_as_the_broker_expects() {
        let producer = Producer { id: 7, epoch: 0 };
        assert_eq!(Cursor::after(producer, i32::MAX).next, 0);
        assert_eq!(Cursor { producer, next: i32::MAX - 1 }.past(3).next, 1);
    }
}
