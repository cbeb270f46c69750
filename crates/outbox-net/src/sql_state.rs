/// The class of an SQLSTATE, by what a client can do about it (PostgreSQL, appendix "PostgreSQL Error Codes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SqlStateClass {
    /// The session ended or cannot begin: connection exceptions, too many connections, a timeout that ends sessions.
    Connection,
    /// The server or a person ended the session, or the server is starting.
    Shutdown,
    /// The statement was cancelled, by a person or by a timeout.
    Cancelled,
    /// The transaction lost against another one: a serialization failure or a deadlock.
    Conflict,
    /// The transaction was rolled back for another reason of class 40.
    RolledBack,
    /// A lock was not available at once, or within `lock_timeout`.
    Locked,
    /// The server lacks memory, disk space or another resource.
    Resources,
    /// The server has failed: an I/O error or an internal error.
    System,
    /// An earlier statement of the transaction failed.
    Aborted,
    /// The data cannot be stored or computed (class 22): another attempt fails in the same way.
    Data,
    /// The login was rejected.
    Authentication,
    /// Anything else: an error of the statement, of privileges or of a constraint.
    Other,
}

impl SqlStateClass {
    /// Returns the class of a five-character SQLSTATE.
    #[must_use]
    pub fn from_sqlstate(sqlstate: &str) -> Self {
        match sqlstate {
            "40001" | "40P01" => Self::Conflict,
            "25P02" => Self::Aborted,
            // idle_in_transaction_session_timeout, transaction_timeout, too_many_connections
            "25P03" | "25P04" | "53300" => Self::Connection,
            "55P03" => Self::Locked,
            // admin_shutdown, crash_shutdown, cannot_connect_now, database_dropped, idle_session_timeout
            "57P01" | "57P02" | "57P03" | "57P04" | "57P05" => Self::Shutdown,
            _ => match sqlstate.get(..2) {
                Some("08") => Self::Connection,
                Some("22") => Self::Data,
                Some("28") => Self::Authentication,
                Some("40") => Self::RolledBack,
                Some("53") => Self::Resources,
                Some("57") => Self::Cancelled,
                Some("58" | "XX") => Self::System,
                _ => Self::Other,
            },
        }
    }

    /// Returns whether another attempt may succeed although the client sends the same again.
    ///
    /// A failed server ([`System`](Self::System)) and an aborted transaction are not among these.
    #[must_use]
    pub fn is_transient(self) -> bool {
        match self {
            Self::Connection
            | Self::Shutdown
            | Self::Cancelled
            | Self::Conflict
            | Self::RolledBack
            | Self::Locked
            | Self::Resources => true,
            Self::System | Self::Aborted | Self::Data | Self::Authentication | Self::Other => false,
        }
    }

    /// Returns whether the session is gone or cannot begin, whatever the statement was.
    #[must_use]
    pub fn ends_session(self) -> bool {
        matches!(self, Self::Connection | Self::Shutdown)
    }
}

#[cfg(test)]
mod tests {
    use super::SqlStateClass as Class;

    #[test]
    fn states_have_classes() {
        for (state, class) in [
            ("40001", Class::Conflict),
            ("40P01", Class::Conflict),
            ("40003", Class::RolledBack),
            ("57P01", Class::Shutdown),
            ("57014", Class::Cancelled),
            ("08006", Class::Connection),
            ("53300", Class::Connection),
            ("53100", Class::Resources),
            ("22003", Class::Data),
            ("28P01", Class::Authentication),
            ("25P02", Class::Aborted),
            ("25P04", Class::Connection),
            ("55P03", Class::Locked),
            ("55000", Class::Other),
            ("58030", Class::System),
            ("23505", Class::Other),
            ("", Class::Other),
            ("é", Class::Other),
        ] {
            assert_eq!(Class::from_sqlstate(state), class, "{state}");
        }
    }
}
