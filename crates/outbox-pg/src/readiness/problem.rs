use std::time::Duration;

use outbox_core::Identifier;

/// Something that keeps events from being published. `Display` says what it is and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// The server's `wal_level` is too low for logical decoding.
    #[error("wal_level is {found}: set wal_level = logical in postgresql.conf and restart PostgreSQL")]
    WalLevel {
        /// The present setting.
        found: String,
    },
    /// The outbox table does not exist, or this role may not see it.
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
    /// The maintainer's tables do not exist.
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
    /// The table's triggers do not fire.
    #[error(
        "the triggers of {table} are disabled, so rows stay, and ids are not kept: run ALTER TABLE {table} ENABLE TRIGGER USER"
    )]
    TriggerDisabled {
        /// The table, quoted.
        table: String,
    },
    /// A column requires a value, and enqueue does not write it.
    #[error(
        "the table {table}, column {column}: it is NOT NULL without a default, and enqueue does not fill it, so every INSERT \
         fails: run ALTER TABLE {table} ALTER {column} SET DEFAULT …"
    )]
    UnfilledColumn {
        /// The table, quoted.
        table: String,
        /// The column, quoted.
        column: String,
    },
    /// No index keeps the event's id unique.
    #[error(
        "the table {table} has no unique index on {column} alone, so an event that is enqueued again is stored twice: run \
         ALTER TABLE {table} ADD PRIMARY KEY ({column})"
    )]
    NoUniqueId {
        /// The table, quoted.
        table: String,
        /// The column of the event's id, quoted.
        column: String,
    },
    /// Something of this library belongs to a role that could use it to act as the table's owner.
    #[error(
        "{object} belongs to {owner}, who is not the owner of the outbox table, and it would run, or be trusted, with the owner's \
         privileges: drop it, or give it to the table's owner"
    )]
    ForeignOwner {
        /// The table, function or trigger, quoted.
        object: String,
        /// The role.
        owner: String,
    },
    /// This role may not enqueue.
    #[error(
        "the role {role:?} may not INSERT into {table}: run the script of application_role_sql, and grant its role"
    )]
    NoInsertPrivilege {
        /// The table, quoted.
        table: String,
        /// The role of this session.
        role: String,
    },
    /// The table has row-level security, and no policy lets the role insert.
    #[error(
        "the table {table} has row-level security, and no policy lets the role {role} insert: run CREATE POLICY … ON {table} \
         FOR INSERT TO {role} WITH CHECK (true)"
    )]
    NoInsertPolicy {
        /// The table, quoted.
        table: String,
        /// The role of this session.
        role: String,
    },
    /// The server is a standby, or transactions are read only.
    #[error(
        "this session is read only, so every enqueue fails: connect to the primary (target_session_attrs=read-write), and \
         see default_transaction_read_only"
    )]
    ReadOnly,
    /// A column is missing or not as the layout says.
    #[error("the table {table}, column {column}: {reason}")]
    Column {
        /// The table, quoted.
        table: String,
        /// The column, quoted.
        column: Identifier,
        /// The fault and the remedy.
        reason: String,
    },
    /// The publication does not exist.
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
    /// The publication names partitions in place of the table.
    #[error(
        "the publication {publication} publishes rows of {table} as rows of its partitions: run ALTER PUBLICATION {publication} \
         SET (publish_via_partition_root = true)"
    )]
    PartitionsPublished {
        /// Its name.
        publication: Identifier,
        /// The table, quoted.
        table: String,
    },
    /// The publication leaves out rows.
    #[error(
        "the publication {publication} has a row filter, so some events are never published: run ALTER PUBLICATION \
         {publication} SET TABLE {table}"
    )]
    RowFilter {
        /// Its name.
        publication: Identifier,
        /// The table, quoted.
        table: String,
    },
    /// The publication leaves out columns that the connector reads.
    #[error(
        "the publication {publication} leaves out the columns {columns}, at which the connector stops: run ALTER PUBLICATION \
         {publication} SET TABLE {table}"
    )]
    ColumnsNotPublished {
        /// Its name.
        publication: Identifier,
        /// The table, quoted.
        table: String,
        /// The columns, quoted.
        columns: String,
    },
    /// The publication leaves out inserts.
    #[error(
        "the publication {publication} leaves out inserts: run ALTER PUBLICATION {publication} SET (publish = 'insert')"
    )]
    InsertsNotPublished {
        /// Its name.
        publication: Identifier,
    },
    /// The slot does not exist.
    #[error(
        "the replication slot {slot} does not exist, and an event that commits before it would never be published: \
         call create_slot, or run SELECT pg_create_logical_replication_slot('{}', 'pgoutput')", slot.as_str()
    )]
    SlotMissing {
        /// Its name.
        slot: Identifier,
    },
    /// The slot existed, and was dropped.
    #[error(
        "the replication slot {slot} was there and is gone: {} since are not published. Create it again with \
         SlotOptions::recreate, then publish them with Republish::missed", events(.rows)
    )]
    SlotGone {
        /// Its name.
        slot: Identifier,
        /// The number of rows that were committed since the last event that is known to be confirmed; `None` if rows
        /// are deleted on insert.
        rows: Option<u64>,
    },
    /// The slot could not be created, because a transaction stays open.
    #[error(
        "the replication slot {slot} could not be created within {waited:?}, because a transaction stays open ({}): end it, or \
         wait for longer with SlotOptions::patience", blocker(.process)
    )]
    SlotBlocked {
        /// Its name.
        slot: Identifier,
        /// The time that the creation has waited.
        waited: Duration,
        /// The server process of the oldest transaction, for `pg_stat_activity`.
        process: Option<i32>,
    },
    /// The table of the pipeline's slots does not exist.
    #[error("the table {table} does not exist: apply Migrations::outbox")]
    HistoryMissing {
        /// The table, quoted.
        table: String,
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
         (max_slot_wal_keep_size). Create it again with SlotOptions::recreate, then publish the events between with \
         Republish::missed"
    )]
    SlotLost {
        /// Its name.
        slot: Identifier,
    },
}

fn events(rows: &Option<u64>) -> String {
    rows.map_or_else(|| "the events".to_owned(), |rows| format!("{rows} events"))
}

fn blocker(process: &Option<i32>) -> String {
    process.map_or_else(|| "pg_stat_activity shows it".to_owned(), |process| format!("process {process}"))
}
