//! The output of PostgreSQL's plugin pgoutput, protocol version 1 (PostgreSQL, "Logical Replication Message
//! Formats"). No I/O happens here.

mod encoder;
mod message;
mod tuple;

#[cfg(test)]
mod tests;

pub use self::message::{Message, Old, Relation, RelationColumn};
pub use self::tuple::{Malformed, Tuple, TupleData};
