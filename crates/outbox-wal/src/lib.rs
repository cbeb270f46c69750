//! Reads a replication slot: as a stream that holds it, and by function from a copy of it.
//!
//! Over a small client of its own, on the codec and SCRAM of `postgres-protocol`: pgwire-replication 0.5 bounds its
//! buffer by messages and not by bytes, sends no status while it waits for the rest of a message that it has begun to
//! read, always asks for logical messages, and tells the server's errors as text.
#![allow(
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    reason = "values of PostgreSQL's protocol, built and matched by the workspace's own crates"
)]

mod catch_up;
mod channel_binding;
mod chunk;
mod copies;
mod decoding;
mod error;
mod frames;
mod handshake;
mod held;
mod look;
mod lsn;
mod options;
mod pgoutput;
mod pipe;
mod pump;
mod server_error;
mod session;
mod slot;
mod socket;
mod sql;
mod start;
mod status;
mod stream;
mod table;

#[cfg(test)]
mod tests;

pub use self::catch_up::CatchUp;
pub use self::error::WalError;
pub use self::held::is_held;
pub use self::look::{SlotLook, look};
pub use self::lsn::{Lsn, ParseLsnError};
pub use self::options::{ConnectOptions, TlsMode};
pub use self::pgoutput::{Malformed, Message, Old, Relation, RelationColumn, Tuple, TupleData};
pub use self::slot::{SlotState, Source};
pub use self::start::{Opened, StartAt, SystemId, open};
pub use self::stream::{WalMessage, WalStream};
pub use self::table::{CatalogueColumn, columns};
pub use outbox_net::{Pem, Secret, SecretSource, Tls};
