use deadpool_postgres::tokio_postgres::types::ToSql;

use crate::store::statements::Sql;

/// The parameters of a statement, in their order.
pub type Params<'a> = [&'a (dyn ToSql + Sync)];

/// Begins a transaction whatever the default level of the database or the role is.
pub const BEGIN_READ_COMMITTED: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// One of several statements that are sent together.
#[derive(Clone, Copy)]
pub enum Command<'a> {
    /// Statements without parameters, whose rows are not needed.
    Script(&'a str),
    Statement(&'a Sql, &'a Params<'a>),
}
