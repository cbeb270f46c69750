//! The connection to PostgreSQL.

mod options;
mod tls;

pub(crate) use self::options::DatabaseOptions;
