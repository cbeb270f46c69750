//! The connection to PostgreSQL.

mod options;

pub(crate) use self::options::{DatabaseOptions, end_with_program};
