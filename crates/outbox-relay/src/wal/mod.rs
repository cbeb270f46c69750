//! Reads a replication slot: as a stream that holds it, and by function from a copy of it.
//!
//! Over a small client of its own, on the codec and SCRAM of `postgres-protocol`: pgwire-replication 0.5 bounds its
//! buffer by messages and not by bytes, sends no status while it waits for the rest of a message that it has begun to
//! read, always asks for logical messages, and tells the server's errors as text.

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
mod options;
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
mod tls;

#[cfg(test)]
mod tests;

pub(crate) use self::catch_up::CatchUp;
pub(crate) use self::error::WalError;
pub(crate) use self::held::is_held;
pub(crate) use self::look::{SlotLook, look};
pub(crate) use self::options::{ConnectOptions, Tls, TlsMode};
pub(crate) use self::slot::Source;
pub(crate) use self::start::{Opened, StartAt, open};
pub(crate) use self::stream::{WalMessage, WalStream};
pub(crate) use self::table::{CatalogueColumn, columns};
