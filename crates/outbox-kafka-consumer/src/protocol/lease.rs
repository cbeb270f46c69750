use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use outbox_core::uuid::Uuid;

/// A consumer of the group that is alive, and the topics that it has handlers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub id: Uuid,
    pub topics: BTreeSet<String>,
}

/// A partition, and the holder of its lease, if the holder is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionLease {
    pub topic: String,
    pub partition: i32,
    pub owner: Option<Uuid>,
}

/// Assigns partitions evenly. All members with the same view compute the same assignment. Owners keep their partitions,
/// unless another member would have at least two fewer.
pub fn assign(seats: &[PartitionLease], members: &[Member]) -> BTreeMap<(String, i32), Uuid> {
    let mut seats: Vec<&PartitionLease> = seats.iter().collect();
    seats.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
    let mut members: Vec<&Member> = members.iter().collect();
    members.sort_by_key(|member| member.id);
    let mut load: BTreeMap<Uuid, usize> = members.iter().map(|member| (member.id, 0)).collect();
    let reads = |id: &Uuid, topic: &str| members.iter().any(|member| member.id == *id && member.topics.contains(topic));
    let mut assigned: BTreeMap<(String, i32), Uuid> = BTreeMap::new();
    for seat in &seats {
        if let Some(owner) = seat.owner.filter(|owner| reads(owner, &seat.topic)) {
            assigned.insert((seat.topic.clone(), seat.partition), owner);
            *load.entry(owner).or_default() += 1;
        }
    }

    let lightest = |load: &BTreeMap<Uuid, usize>, topic: &str| {
        let readers = members.iter().filter(|member| member.topics.contains(topic));
        readers.map(|member| (load.get(&member.id).copied().unwrap_or(0), member.id)).min()
    };

    for seat in &seats {
        let place = (seat.topic.clone(), seat.partition);
        if let (false, Some((_, id))) = (assigned.contains_key(&place), lightest(&load, &seat.topic)) {
            assigned.insert(place, id);
            *load.entry(id).or_default() += 1;
        }
    }

    // Each move makes the shares more even, so this ends.
    while let Some((place, to)) = assigned.iter().find_map(|(place, owner)| {
        let (least, id) = lightest(&load, &place.0)?;
        (load.get(owner).copied().unwrap_or(0) >= least + 2).then(|| (place.clone(), id))
    }) {
        if let Some(from) = assigned.insert(place, to) {
            load.entry(from).and_modify(|n| *n -= 1);
        }
        *load.entry(to).or_default() += 1;
    }
    assigned
}

/// The times at which a lease is renewed, and at which it counts as lost by its owner's own clock. Times are measured
/// from a fixed instant.
#[derive(Clone, Copy, Debug)]
pub struct LeaseClock {
    ttl: Duration,
    /// The time at which the last successful renewal was begun. The store's time of it is the same or later.
    renewed: Duration,
}

impl LeaseClock {
    pub fn new(ttl: Duration, now: Duration) -> Self {
        Self { ttl, renewed: now }
    }

    /// Records that a renewal that was begun at `begun` has succeeded.
    pub fn renewed(&mut self, begun: Duration) {
        self.renewed = self.renewed.max(begun);
    }

    pub fn is_due(&self, now: Duration) -> bool {
        now.saturating_sub(self.renewed) >= self.ttl / 3
    }

    /// Returns whether another consumer may have taken the lease. A tenth of its time is a margin for clocks that run
    /// at different speeds.
    pub fn is_lost(&self, now: Duration) -> bool {
        now.saturating_sub(self.renewed) >= self.ttl - self.ttl / 10
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(n: u128, topics: &[&str]) -> Member {
        Member { id: Uuid::from_u128(n), topics: topics.iter().map(|topic| (*topic).to_owned()).collect() }
    }

    fn seats(owners: &[Option<u128>]) -> Vec<PartitionLease> {
        let seat = |(n, owner): (usize, &Option<u128>)| PartitionLease {
            topic: "t".to_owned(),
            partition: i32::try_from(n).unwrap(),
            owner: owner.map(Uuid::from_u128),
        };
        owners.iter().enumerate().map(seat).collect()
    }

    #[test]
    fn a_newcomer_gets_its_share_and_the_rest_stays() {
        let assigned = assign(&seats(&[Some(1), Some(1), Some(1), Some(1)]), &[member(1, &["t"]), member(2, &["t"])]);
        let of = |n| assigned.values().filter(|owner| **owner == Uuid::from_u128(n)).count();
        assert_eq!((of(1), of(2)), (2, 2));
    }

    #[test]
    fn a_topic_is_only_for_those_that_read_it() {
        let assigned = assign(&seats(&[None, Some(1)]), &[member(1, &["other"]), member(2, &["t"])]);
        assert!(assigned.len() == 2 && assigned.values().all(|owner| *owner == Uuid::from_u128(2)));
        assert!(assign(&seats(&[None]), &[member(1, &["other"])]).is_empty());
    }

    proptest! {
        #[test]
        fn shares_differ_by_one_at_most_and_are_stable(
            owners in prop::collection::vec(prop::option::of(0_u128..6), 0..20),
            members in prop::collection::btree_set(0_u128..6, 1..5),
        ) {
            let members: Vec<Member> = members.into_iter().map(|n| member(n, &["t"])).collect();
            let assigned = assign(&seats(&owners), &members);
            prop_assert_eq!(assigned.len(), owners.len());
            let load = |id| assigned.values().filter(|owner| **owner == id).count();
            let loads: Vec<usize> = members.iter().map(|member| load(member.id)).collect();
            prop_assert!(loads.iter().max().unwrap() - loads.iter().min().unwrap() <= 1);
            let settled: Vec<_> = assigned.values().map(|owner| Some(owner.as_u128())).collect();
            prop_assert_eq!(assign(&seats(&settled), &members), assigned);
        }
    }

    #[test]
    fn a_lease_is_renewed_at_a_third_and_lost_before_its_end() {
        let at = Duration::from_secs;
        let mut clock = LeaseClock::new(at(30), at(100));
        assert!(!clock.is_due(at(109)) && clock.is_due(at(110)));
        assert!(!clock.is_lost(at(126)) && clock.is_lost(at(127)));
        clock.renewed(at(110));
        assert!(!clock.is_due(at(119)) && !clock.is_lost(at(136)));
        clock.renewed(at(105));
        assert!(!clock.is_lost(at(136)), "a late answer of an earlier renewal takes nothing back");
    }
}
