use std::collections::BTreeSet;

use crate::fixture::RelayEnv;

impl RelayEnv {
    /// Returns the process that holds the slot.
    pub(crate) async fn walsender(&self) -> Option<i32> {
        let sql = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = $1";
        self.client().await.query_one(sql, &[&self.name()]).await.unwrap().get(0)
    }

    /// Returns how many events have a record already and are still to be read through the slot, which nobody must hold.
    pub(crate) async fn unconfirmed_records(&self) -> usize {
        // The id is the first column of an insert: I, table, N, columns, t, length, text.
        let sql = "SELECT convert_from(substring(data FROM 14 FOR 36), 'UTF8')
            FROM pg_logical_slot_peek_binary_changes($1, NULL, NULL, 'proto_version', '1', 'publication_names', $2)
            WHERE get_byte(data, 0) = ascii('I')";
        let publication = self.config.get("publication.name").unwrap();
        let rows = self.client().await.query(sql, &[&self.name(), &publication]).await.unwrap();
        let unconfirmed: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
        let records = self.read(&self.topic).await;
        records.iter().filter(|record| unconfirmed.contains(&record.headers["id"])).count()
    }
}
