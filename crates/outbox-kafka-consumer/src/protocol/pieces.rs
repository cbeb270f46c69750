use std::collections::VecDeque;
use std::ops::Range;

/// The parts of a batch that are not applied yet, in the order of its events.
#[derive(Debug)]
pub struct Pieces(VecDeque<Range<usize>>);

impl Pieces {
    pub fn of(events: usize) -> Self {
        Self(std::iter::once(0..events).filter(|piece| !piece.is_empty()).collect())
    }

    /// Returns the next part, and no more of it than fits.
    pub fn next(&mut self, fitting: impl FnOnce(Range<usize>) -> usize) -> Option<Range<usize>> {
        let mut piece = self.0.pop_front()?;
        let most = fitting(piece.clone()).max(1);
        if piece.len() > most {
            let rest = piece.start + most..piece.end;
            piece.end = rest.start;
            self.0.push_front(rest);
        }
        Some(piece)
    }

    /// Puts a part back whose transaction failed, to be applied again.
    pub fn put_back(&mut self, piece: Range<usize>) {
        self.0.push_front(piece);
    }

    /// Puts a part of several events back, split so that the one that failed is alone in the end: at once if it is
    /// known, otherwise in the middle of those that may be it, counted within the part and in order; of all if there
    /// are none.
    pub fn split(&mut self, piece: Range<usize>, suspects: &[usize]) {
        let last = piece.len().saturating_sub(1);
        let middle = |of: usize| of.clamp(1.min(last), last);
        let (first, behind) = match *suspects {
            [one] => (one.min(last), one.min(last) + 1),
            [] => (middle(piece.len() / 2), middle(piece.len() / 2)),
            _ => {
                let suspect = suspects.get(suspects.len() / 2).copied().unwrap_or_default();
                (middle(suspect), middle(suspect))
            }
        };
        let (first, behind) = (piece.start + first, piece.start + behind);

        for part in [behind..piece.end, first..behind, piece.start..first] {
            if !part.is_empty() {
                self.0.push_front(part);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Applies a batch in which some events fail, and returns the applied events, the events that failed alone, and the
    /// attempts.
    fn apply(events: usize, bad: &[usize], is_known: bool) -> (Vec<usize>, Vec<usize>, usize) {
        let (mut pieces, mut applied, mut failed, mut attempts) = (Pieces::of(events), Vec::new(), Vec::new(), 0);
        while let Some(piece) = pieces.next(|_| 256) {
            attempts += 1;
            match piece.clone().find(|event| bad.contains(event)) {
                None => applied.extend(piece),
                Some(event) if piece.len() == 1 => failed.push(event),
                Some(event) if is_known => pieces.split(piece.clone(), &[event - piece.start]),
                Some(_) => pieces.split(piece, &[]),
            }
        }
        (applied, failed, attempts)
    }

    #[test]
    fn one_bad_event_costs_a_few_attempts() {
        assert_eq!(apply(256, &[100], true).2, 4);
        assert_eq!(apply(256, &[0], true).2, 3);
        assert_eq!(apply(256, &[100], false).2, 17);
    }

    #[test]
    fn several_suspects_are_split_in_their_middle() {
        let mut pieces = Pieces::of(10);
        let piece = pieces.next(|_| 10).unwrap();
        pieces.split(piece, &[2, 7, 8]);
        assert_eq!(
            (pieces.next(|_| 10), pieces.next(|_| 2), pieces.next(|_| 10)),
            (Some(0..7), Some(7..9), Some(9..10))
        );
    }

    proptest! {
        #[test]
        fn all_but_the_bad_ones_are_applied_once_and_in_order(events in 0_usize..300, bad: Vec<u8>, is_known: bool) {
            let bad: Vec<usize> = bad.into_iter().map(usize::from).filter(|bad| *bad < events).collect();
            let (applied, failed, _) = apply(events, &bad, is_known);
            let (expected, expected_to_fail): (Vec<usize>, Vec<usize>) = (0..events).partition(|event| !bad.contains(event));
            prop_assert_eq!((applied, failed), (expected, expected_to_fail));
        }

        #[test]
        fn a_split_makes_progress_whatever_the_suspects_are(events in 2_usize..50, mut suspects: Vec<u8>) {
            suspects.sort_unstable();
            let suspects: Vec<usize> = suspects.into_iter().map(usize::from).collect();
            let mut pieces = Pieces::of(events);
            let piece = pieces.next(|_| events).unwrap();
            pieces.split(piece, &suspects);
            let mut next = 0;
            while let Some(piece) = pieces.next(|_| events) {
                prop_assert!(piece.start == next && piece.len() < events);
                next = piece.end;
            }
            prop_assert_eq!(next, events);
        }
    }
}
