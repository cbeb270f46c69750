/// The treatment of the statements that an adapter, or the consumer, sends to PostgreSQL.
///
/// ```
/// # use outbox_core::StatementCaching;
/// assert_eq!(StatementCaching::default(), StatementCaching::Cached);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StatementCaching {
    /// Each statement is prepared once for a connection and kept in the driver's cache. The first time costs a round
    /// trip.
    #[default]
    Cached,
    /// Nothing is prepared under a name. Set it behind PgBouncer in transaction mode with `max_prepared_statements =
    /// 0`, or older than 1.21.
    Unnamed,
}
