mod connect;
mod converter;
mod demand;
mod finding;
mod postgres;
mod replication;
mod router;
mod rule;
mod table;

pub use self::finding::{KeyFinding, KeySeverity};
pub use self::rule::KeySupport;
pub use self::table::KeyTable;
