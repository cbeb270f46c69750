use outbox_core::Identifier;

/// Something that keeps events from being published. `Display` says what it is and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The server does not write what logical decoding needs.
    #[error("wal_level is {found}: set wal_level = logical in postgresql.conf and restart PostgreSQL")]
    WalLevel {
        /// The setting as it is.
        found: String,
    },
    /// The outbox table is not there, or this role may not see it.
    #[error("the table {table} does not exist: apply Migrations::outbox")]
    TableMissing {
        /// The table, quoted.
        table: String,
    },
    /// The layout says partitions, and the table has none.
    #[error("the table {table} is not partitioned: say RowLife::Keep, or make a partitioned table of another name")]
    NotPartitioned {
        /// The table, quoted.
        table: String,
    },
    /// The maintainer's tables are not there.
    #[error("the maintainer's tables of {table} do not exist: apply Migrations::maintenance")]
    MaintenanceMissing {
        /// The table, quoted.
        table: String,
    },
    /// The table has no partition for the present.
    #[error("the table {table} has no partition for the present, and every INSERT fails: run Maintenance")]
    NoPartition {
        /// The table, quoted.
        table: String,
    },
    /// The table has a DEFAULT partition.
    #[error(
        "the table {table} has a DEFAULT partition, which keeps others from being detached concurrently: move its rows,          and drop it"
    )]
    DefaultPartition {
        /// The table, quoted.
        table: String,
    },
    /// The table's triggers are those of another life of its rows.
    #[error("the triggers of {table} are not those of {life:?}: apply Migrations::outbox, or choose the other RowLife")]
    OtherRowLife {
        /// The table, quoted.
        table: String,
        /// The life that the layout says.
        life: outbox_core::RowLife,
    },
    /// A column is missing or not as the layout says.
    #[error("the table {table}, column {column}: {reason}")]
    Column {
        /// The table, quoted.
        table: String,
        /// The column, quoted.
        column: Identifier,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The publication is not there.
    #[error("the publication {publication} does not exist: apply Migrations::outbox, then create the slot")]
    PublicationMissing {
        /// Its name.
        publication: Identifier,
    },
    /// The publication leaves out the outbox table.
    #[error(
        "the publication {publication} does not hold {table}: run ALTER PUBLICATION {publication} ADD TABLE {table} \
         (events that are in the WAL already stay unpublished)"
    )]
    TableNotPublished {
        /// Its name.
        publication: Identifier,
        /// The table, quoted.
        table: String,
    },
    /// The publication leaves out inserts.
    #[error(
        "the publication {publication} leaves out inserts: run ALTER PUBLICATION {publication} SET (publish = 'insert')"
    )]
    InsertsNotPublished {
        /// Its name.
        publication: Identifier,
    },
    /// The slot is not there.
    #[error(
        "the replication slot {slot} does not exist, and an event that commits before it would never be published: \
         call create_slot, or run SELECT pg_create_logical_replication_slot('{}', 'pgoutput')", slot.as_str()
    )]
    SlotMissing {
        /// Its name.
        slot: Identifier,
    },
    /// The slot reads another database.
    #[error(
        "the replication slot {slot} is of the database {database:?}: slots are named per server, choose another slot.name"
    )]
    SlotOfOtherDatabase {
        /// Its name.
        slot: Identifier,
        /// The database that it reads.
        database: String,
    },
    /// The slot is of another output plugin.
    #[error("the replication slot {slot} is of the plugin {plugin:?}, not pgoutput: choose another slot.name")]
    SlotOfOtherPlugin {
        /// Its name.
        slot: Identifier,
        /// Its plugin.
        plugin: String,
    },
    /// PostgreSQL has removed WAL that the slot had still to read.
    #[error(
        "the replication slot {slot} is lost: PostgreSQL has removed WAL that it had still to read \
         (max_slot_wal_keep_size). Drop it, create it anew, and publish the events between from the table"
    )]
    SlotLost {
        /// Its name.
        slot: Identifier,
    },
}
