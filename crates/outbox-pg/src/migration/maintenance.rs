use outbox_core::Pipeline;

use super::outbox::component;
use super::step::fill;
use super::{Migration, Migrations, Newer};
use crate::companion::companion;

const TABLES: &str = "CREATE TABLE IF NOT EXISTS {lease} (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    holder text NOT NULL,
    until timestamptz NOT NULL
);
CREATE TABLE IF NOT EXISTS {detached} (
    partition text PRIMARY KEY,
    wal_position pg_lsn,
    detached_at timestamptz
)";

impl Migrations {
    /// Creates the two small tables of [`Maintenance`](crate::Maintenance): its lease, and the partitions that are detached and
    /// not yet dropped. Nothing is changed if one of them belongs to a role other than the owner of the outbox table.
    ///
    /// Without a table ([`RowLife::Message`](outbox_core::RowLife::Message)) there is nothing to create.
    #[must_use]
    pub fn maintenance(pipeline: &Pipeline) -> Self {
        let layout = pipeline.layout();
        if !layout.row_life().has_table() {
            let none = Self::new("outbox-maintenance", layout.schema().clone(), Vec::new());
            return Self { publication: Some(pipeline.publication().clone()), ..none };
        }
        let (lease, detached) = (companion(layout, "_lease"), companion(layout, "_detached"));
        let sql = fill(TABLES, &[("{lease}", &lease), ("{detached}", &detached)]);
        let steps = vec![Migration::new(1, "lease and detached partitions", sql).known_by(TABLES)];
        Self {
            newer: Newer::LeaveAlone,
            guarded: Some(layout.clone()),
            ..Self::new(component("outbox-maintenance", layout), layout.schema().clone(), steps)
        }
    }
}
