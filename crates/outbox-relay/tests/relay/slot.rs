use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::bench::Bench;

impl Bench {
    /// The process that holds the slot.
    pub(crate) async fn walsender(&self) -> Option<i32> {
        let sql = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1";
        self.client().await.query_one(sql, &[&self.database_name()]).await.unwrap().get(0)
    }

    /// Waits until the slot is as a condition on its row in `pg_replication_slots` says.
    pub(crate) async fn slot_becomes(&self, condition: &str) {
        let sql = format!("SELECT s::text, {condition} FROM pg_replication_slots s WHERE slot_name = $1");
        let (client, deadline) = (self.client().await, Instant::now() + Duration::from_secs(60));
        loop {
            let row = client.query_one(&sql, &[&self.database_name()]).await.unwrap();
            if row.get(1) {
                return;
            }
            assert!(Instant::now() < deadline, "never {condition}: {}", row.get::<_, &str>(0));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// How many events have a record already and are still to be read through the slot, which nobody must hold.
    pub(crate) async fn unconfirmed_records(&self) -> usize {
        // The id is the first column of an insert: I, table, N, columns, t, length, text.
        let sql = "SELECT convert_from(substring(data FROM 14 FOR 36), 'UTF8')
            FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL, 'proto_version', '1', 'publication_names', $2)
            WHERE get_byte(data, 0) = ascii('I')";
        let publication = self.config.get("publication.name").unwrap();
        let rows = self.client().await.query(sql, &[&self.database_name(), &publication]).await.unwrap();
        let unconfirmed: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
        let records = self.read(&self.topic).await;
        records.iter().filter(|record| unconfirmed.contains(&record.headers["id"])).count()
    }
}
