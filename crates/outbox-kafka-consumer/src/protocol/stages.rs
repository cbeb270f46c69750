use std::collections::HashMap;

/// Events of one transaction that are handled by one call, or one after the other.
#[derive(Debug, PartialEq, Eq)]
pub struct Stage {
    /// The handler that takes them in one call; `None` if they are handled one after the other.
    pub together: Option<usize>,
    /// Their places in the batch, in order.
    pub members: Vec<usize>,
}

/// An event of a batch: its place in it, its key, and the batch handler, if it has one.
pub type Staged<'a> = (usize, Option<&'a [u8]>, Option<usize>);

/// Divides the events of a batch into stages, as few as the order of each key allows.
pub fn stages(events: &[Staged<'_>]) -> Vec<Stage> {
    if events.iter().all(|(.., together)| together.is_none()) {
        let members: Vec<usize> = events.iter().map(|(index, ..)| *index).collect();
        return if members.is_empty() { Vec::new() } else { vec![Stage { together: None, members }] };
    }

    let mut stages: Vec<Stage> = Vec::new();
    // The stage of each key's last event: a later event of the key is not before it.
    let mut last: HashMap<&[u8], usize> = HashMap::new();

    for (index, key, together) in events {
        let first = key.and_then(|key| last.get(key)).copied().unwrap_or(0);
        let fitting = stages.iter_mut().enumerate().skip(first).find(|(_, stage)| stage.together == *together);
        let at = match fitting {
            Some((at, stage)) => {
                stage.members.push(*index);
                at
            }
            None => {
                stages.push(Stage { together: *together, members: vec![*index] });
                stages.len() - 1
            }
        };

        if let Some(key) = key {
            last.insert(key, at);
        }
    }
    stages
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn members(events: &[Staged<'_>]) -> Vec<Vec<usize>> {
        stages(events).into_iter().map(|stage| stage.members).collect()
    }

    #[test]
    fn events_of_different_keys_are_brought_together() {
        let (a, b, c) = (Some(&b"a"[..]), Some(&b"b"[..]), Some(&b"c"[..]));
        assert_eq!(members(&[(0, a, Some(1)), (1, b, Some(2)), (2, c, Some(1)), (3, None, Some(2))]), [[0, 2], [1, 3]]);
        assert_eq!(members(&[(0, a, None), (1, a, Some(1)), (2, b, None), (3, b, Some(1))]), [[0, 2], [1, 3]]);
        // An event of a key does not overtake an earlier one.
        assert_eq!(members(&[(0, a, Some(1)), (1, a, None), (2, a, Some(1))]), [[0], [1], [2]]);
        assert_eq!(members(&[]), Vec::<Vec<usize>>::new());
    }

    proptest! {
        #[test]
        fn every_event_is_in_one_stage_and_every_key_keeps_its_order(
            events in prop::collection::vec((prop::option::of(0_u8..5), prop::option::of(0_usize..3)), 0..60)
        ) {
            let keys: Vec<Option<[u8; 1]>> = events.iter().map(|(key, _)| key.map(|key| [key])).collect();
            let staged: Vec<Staged<'_>> = events.iter().enumerate()
                .map(|(index, (_, together))| (index, keys[index].as_ref().map(|key| &key[..]), *together)).collect();
            let order: Vec<usize> = stages(&staged).into_iter().flat_map(|stage| stage.members).collect();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..events.len()).collect::<Vec<_>>());
            for key in 0..5 {
                let of: Vec<usize> = order.iter().copied().filter(|index| events[*index].0 == Some(key)).collect();
                prop_assert!(of.is_sorted());
            }
        }
    }
}
