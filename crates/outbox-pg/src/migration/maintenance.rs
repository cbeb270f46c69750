use outbox_core::Pipeline;

use super::{Migration, Migrations};
use crate::companion::companion;

impl Migrations {
    /// Creates the two small tables of [`Maintenance`](crate::Maintenance): its lease, and the partitions that are
    /// detached and not yet dropped.
    #[must_use]
    pub fn maintenance(pipeline: &Pipeline) -> Self {
        let layout = pipeline.layout();
        let sql = format!(
            "CREATE TABLE IF NOT EXISTS {} (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    holder text NOT NULL,
    until timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS {} (
    partition text PRIMARY KEY,
    wal_position pg_lsn,
    detached_at timestamptz
)",
            companion(layout, "_lease"),
            companion(layout, "_detached"),
        );
        let steps = vec![Migration::new(1, "lease and detached partitions", sql)];
        Self::new("outbox-maintenance", layout.schema().clone(), steps)
    }
}
