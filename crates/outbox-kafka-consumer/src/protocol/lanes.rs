use std::hash::{DefaultHasher, Hasher as _};

/// Returns the lane of a record, by its key, so that events of one key are never in two lanes. A record without a key
/// has no order to keep and is assigned by its offset.
pub fn lane_of(key: Option<&[u8]>, offset: i64, lanes: usize) -> usize {
    let mut hasher = DefaultHasher::new();
    match key {
        Some(key) => hasher.write(key),
        None => hasher.write_i64(offset),
    }
    usize::try_from(hasher.finish() % lanes.max(1) as u64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_key_has_one_lane_wherever_its_events_are(key: Vec<u8>, a: i64, b: i64, lanes in 1_usize..32) {
            let lane = lane_of(Some(&key), a, lanes);
            prop_assert!(lane < lanes);
            prop_assert_eq!(lane, lane_of(Some(&key), b, lanes));
        }
    }

    #[test]
    fn records_without_a_key_and_different_keys_are_spread() {
        let used = |lane: &dyn Fn(i64) -> usize| (0..100).map(lane).collect::<std::collections::BTreeSet<_>>().len();
        assert_eq!(used(&|n| lane_of(None, n, 4)), 4);
        assert_eq!(used(&|n| lane_of(Some(n.to_string().as_bytes()), 0, 4)), 4);
    }
}
