/// A loss that a pipeline's configuration causes, and that must be accepted explicitly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// `table.expand.json.payload`: null members and empty arrays vanish, numbers are rewritten, and some payloads stop
    /// the connector's task permanently (integers beyond 64 bits, arrays at the top, objects of unlike members).
    JsonExpansion,
    /// Columns that may be NULL as key, as header or to route by, as Debezium takes them: an event with a null key has
    /// no order, some clients cannot read a header with a null value, and a row that is routed by NULL has no record.
    NullableColumns,
    /// Parts of an event that the table has columns for and that no record holds, as with Debezium's shortest
    /// configuration, which carries neither the event type nor headers. Unless this is accepted, enqueue refuses an
    /// event that has such a part.
    UncarriedParts,
    /// Records that Debezium writes and [`Pipeline::decode`](crate::Pipeline::decode) cannot read in full: events
    /// without the header `id`, several headers of one name, and structs or bytes that the StringConverter writes as
    /// Java's `toString` does.
    UnreadableRecords,
}
