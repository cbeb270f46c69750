//! The components that have steps: the outbox table with its publication, and the tables of maintenance.

use outbox_core::{Pipeline, TableLayout};

use super::step::fill;
use super::{Migration, Migrations, Newer, shipped};
use crate::sql_text::companion;

const MAINTENANCE_TABLES: &str = "CREATE TABLE IF NOT EXISTS {lease} (
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
    /// Creates the outbox table of a pipeline, and the publication that the connector reads.
    ///
    /// - The steps are numbered, and their SQL is fixed at their release. A program from before a step continues to
    ///   work next to newer ones: its [`apply`](Self::apply) then changes nothing.
    /// - A column of the layout that the table lacks is added, if it may be NULL or has a DEFAULT. Other differences,
    ///   such as types, are left alone: [`plan`](Self::plan) prints the ALTERs for them, and
    ///   [`Readiness`](crate::Readiness) reports them.
    /// - A publication that is missing is created. One that exists is left as it is.
    /// - The triggers of the layout's [`RowLife`](outbox_core::RowLife) are made, replaced or removed.
    /// - Several tables may be in one schema, and several pipelines, with a slot and a publication each, on one table.
    /// - Nothing is changed if a table or function of this library belongs to a role other than the table's owner.
    /// - Without a table ([`RowLife::Message`](outbox_core::RowLife::Message)) there is the publication only. It is not
    ///   recorded, and no schema is created.
    #[must_use]
    pub fn outbox(pipeline: &Pipeline) -> Self {
        let layout = pipeline.layout();
        if !layout.row_life().has_table() {
            let step = Migration::new(1, "publication", shipped::create_empty_publication(pipeline.publication()));
            let migrations = Self::new("outbox", layout.schema().clone(), vec![step]);
            return Self { publication: Some(pipeline.publication().clone()), ..migrations };
        }
        Self {
            latest: shipped::LATEST,
            newer: Newer::LeaveAlone,
            outbox: Some(pipeline.clone()),
            guarded: Some(layout.clone()),
            ..Self::new(component("outbox", layout), layout.schema().clone(), shipped::outbox(pipeline))
        }
    }

    /// Creates the two small tables of [`Maintenance`](crate::Maintenance): its lease, and the partitions that are
    /// detached and not yet dropped. Nothing is changed if one of them belongs to a role other than the owner of the
    /// outbox table.
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
        let sql = fill(MAINTENANCE_TABLES, &[("{lease}", &lease), ("{detached}", &detached)]);
        let steps = vec![Migration::new(1, "lease and detached partitions", sql).known_by(MAINTENANCE_TABLES)];
        Self {
            newer: Newer::LeaveAlone,
            guarded: Some(layout.clone()),
            ..Self::new(component("outbox-maintenance", layout), layout.schema().clone(), steps)
        }
    }
}

/// Returns the name under which the steps of a table are recorded. The recommended table has that of the first release.
pub(super) fn component(name: &str, layout: &TableLayout) -> String {
    match layout.table().as_str() {
        "outbox_message" => name.to_owned(),
        table => format!("{name}:{table}"),
    }
}
