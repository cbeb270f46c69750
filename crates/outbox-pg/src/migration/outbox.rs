use outbox_core::{Pipeline, TableLayout};

use super::{Migration, Migrations, Newer, shipped};

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
}

/// Returns the name under which the steps of a table are recorded. The recommended table has that of the first release.
pub(super) fn component(name: &str, layout: &TableLayout) -> String {
    match layout.table().as_str() {
        "outbox_message" => name.to_owned(),
        table => format!("{name}:{table}"),
    }
}
