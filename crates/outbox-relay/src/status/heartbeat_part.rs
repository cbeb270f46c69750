/// A part of a heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeartbeatPart {
    /// The record in Kafka.
    Record,
    /// The statement in PostgreSQL (`heartbeat.action.query`).
    ActionQuery,
}

impl HeartbeatPart {
    pub(super) const ALL: [Self; 2] = [Self::Record, Self::ActionQuery];

    /// Returns the name in metrics and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::ActionQuery => "action_query",
        }
    }
}
