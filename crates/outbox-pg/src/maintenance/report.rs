use outbox_core::Identifier;

/// The outcome of a run of [`Maintenance`](crate::Maintenance).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MaintenanceOutcome {
    /// The work that was due is done.
    Done(MaintenanceReport),
    /// Another instance was running maintenance; this one did nothing.
    HeldByOther {
        /// The server process of the other's session, and an id of its run.
        holder: String,
    },
}

/// The work that was done, and the work that must wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MaintenanceReport {
    /// Partitions that were created.
    pub created: Vec<String>,
    /// Partitions that are detached now, those included whose detachment an earlier run had to leave unfinished.
    pub detached: Vec<String>,
    /// Partitions that were dropped.
    pub dropped: Vec<String>,
    /// Rows that were deleted from a table without partitions.
    pub deleted_rows: u64,
    /// Ids that were deleted from the table of kept ids.
    pub deleted_ids: u64,
    /// The reason why more could not be done now.
    pub waiting: Vec<Deferred>,
}

/// Work that must wait, and its reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Deferred {
    /// A lock was not acquired in time.
    #[error("{table} is in use by a long transaction: the next run tries again (pg_stat_activity shows which it is)")]
    Lock {
        /// The table, quoted.
        table: String,
    },
    /// Nothing is removed while the pipeline has no slot: the table may have the only copy of its events.
    #[error(
        "the replication slot {slot} does not exist or is lost, so nothing is removed: create it with SlotOptions::recreate"
    )]
    NoSlot {
        /// Its name.
        slot: Identifier,
    },
    /// A slot of another pipeline of the table no longer exists, and the rows that it has not published are kept.
    #[error(
        "the replication slot {slot:?} of another pipeline of this table does not exist or is lost, so rows that it has not \
         published are kept: create it with SlotOptions::recreate, or give it up with Maintenance::forget_slot"
    )]
    OtherSlotGone {
        /// Its name.
        slot: String,
    },
    /// Rows are older than the retention, and the slot has not confirmed them.
    #[error(
        "rows of {table} are kept until the replication slot {slot} has confirmed them, and a later run has seen that"
    )]
    Unconfirmed {
        /// The table, quoted.
        table: String,
        /// The slot's name.
        slot: Identifier,
    },
    /// Rows were committed before the slot was created, so no slot has published them.
    #[error(
        "{table} holds rows that no slot has published: publish them with Republish::missed (attach a detached partition first), \
         or give them up with Maintenance::release_missed"
    )]
    Missed {
        /// The table or the partition, quoted.
        table: String,
    },
    /// A slot has yet to confirm the WAL up to a partition's detachment.
    #[error(
        "{partition} is kept until the replication slot {slot:?} has confirmed the WAL up to its detachment, {behind} bytes ahead"
    )]
    Slot {
        /// The partition.
        partition: String,
        /// The slot's name.
        slot: String,
        /// The lag of the slot, in bytes of WAL.
        behind: u64,
    },
}
