//! The knowledge that clients of different servers share: the text of an error chain for a log line, the classes of
//! PostgreSQL's error codes, and the delays between attempts.

mod backoff;
mod error_chain;
mod sql_state;

pub use self::backoff::Backoff;
pub use self::error_chain::ErrorChain;
pub use self::sql_state::SqlStateClass;
