use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::time::Instant;

use crate::fixture::RelayEnv;

impl RelayEnv {
    /// Waits until every event of the table has a record.
    pub(crate) async fn all_arrived(&self) {
        let expected = self.written().await;
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            self.as_many_records_as(expected.len(), deadline).await;
            let found: BTreeSet<i64> = self.places().await.into_keys().collect();
            if expected.is_subset(&found) {
                return;
            }
            let missing: Vec<_> = expected.difference(&found).take(5).collect();
            assert!(Instant::now() < deadline, "{} of {} have come, not {missing:?}…", found.len(), expected.len());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Checks that every event of the table arrived once, and in order for each aggregate. Nothing comes after the slot
    /// is confirmed.
    pub(crate) async fn all_arrived_once_and_in_order(&self) {
        let expected = self.written().await;
        self.as_many_records_as(expected.len(), Instant::now() + Duration::from_secs(120)).await;
        self.confirmed().await;
        self.check_against(&self.read(&self.topic).await, &expected);
    }

    /// Returns at the deadline, too.
    async fn as_many_records_as(&self, events: usize, deadline: Instant) {
        let events = i64::try_from(events).unwrap();
        while self.ends(&self.topic).await.iter().sum::<i64>() < events && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Returns the partitions of each event's records, from the first to the last.
    pub(crate) async fn places(&self) -> BTreeMap<i64, Vec<i32>> {
        let mut places = BTreeMap::<i64, Vec<i32>>::new();
        for record in self.read(&self.topic).await {
            places.entry(record.value.trim().parse().unwrap()).or_default().push(record.partition);
        }
        places
    }

    /// Returns the numbers of all events.
    pub(crate) async fn written(&self) -> BTreeSet<i64> {
        let rows = self.client().await.query("SELECT payload::text::bigint FROM outbox.outbox_message", &[]).await;
        rows.unwrap().iter().map(|row| row.get(0)).collect()
    }
}
