//! A client of PostgreSQL's walsender: it reads a logical replication slot of the plugin pgoutput.
//!
//! [`open`] takes a slot and returns its [`WalStream`]. While the stream exists, no other process can read the slot.
//! Each [`WalMessage::Data`] holds one message of pgoutput, which [`Message::decode`] decodes without copying.
//! [`WalStream::confirm`] says up to which [`Lsn`] the changes are safe elsewhere: PostgreSQL then removes their WAL,
//! and never sends them again. The stream answers keepalives by itself, even while its messages are not received, and
//! its memory is bounded.
//!
//! [`CatchUp`] reads a long backlog of small transactions faster than a stream does, from temporary copies of the slot,
//! while the stream keeps other readers out.
//!
//! ```no_run
//! use outbox_wal::{ConnectOptions, Message, Source, StartAt, WalMessage};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let options = ConnectOptions::new("localhost", 5432, "replicator", "shop").password("secret");
//! let source = Source::new("my_slot", "my_publication");
//! let mut opened = outbox_wal::open(&options, &source, StartAt::Confirmed).await?;
//!
//! loop {
//!     match opened.stream.next().await? {
//!         WalMessage::Data { data, .. } => {
//!             if let Message::Commit { end, .. } = Message::decode(&data)? {
//!                 opened.stream.confirm(end);
//!             }
//!         }
//!         WalMessage::Keepalive { .. } => {}
//!     }
//! }
//! # }
//! ```
//!
//! The crate has its own client, on the codec and SCRAM of `postgres-protocol`, because a reader of a slot needs memory
//! bounded by bytes, a status to the server while a large message arrives, and errors by SQLSTATE.
//!
//! # Errors
//!
//! [`Error`] distinguishes by predicates what a caller does next: wait for the holder of the slot
//! ([`Error::is_slot_active`], [`Error::slot_holder`]), connect again ([`Error::is_connection_lost`],
//! [`Error::is_transient`]), or give up. [`Error::is_slot_missing`] and [`Error::is_standby`] name states that an
//! operator has to change.
#![allow(
    clippy::exhaustive_enums,
    clippy::exhaustive_structs,
    reason = "values of PostgreSQL's protocol, built and matched by the workspace's own crates"
)]
#![allow(unreachable_pub, reason = "items are `pub` in private modules, and this file exports what is public")]

mod catch_up;
mod chunk;
mod create;
mod decoding;
mod error;
mod frames;
mod inspect;
mod lsn;
mod options;
mod pgoutput;
mod pipe;
mod publication;
mod pump;
mod session;
mod silence;
mod slot;
mod slot_counters;
mod socket;
mod sql;
mod start;
mod stream;
mod table;
mod unpublished;

#[cfg(test)]
mod tests;

pub use self::catch_up::CatchUp;
pub use self::create::{Created, Creation};
pub use self::error::Error;
pub use self::inspect::{Inspection, RowSample, check_replication, check_slot, inspect, sample};
pub use self::lsn::{Lsn, ParseLsnError};
pub use self::options::Timeouts;
pub use self::options::{ConnectOptions, ServerRole, TlsMode};
pub use self::pgoutput::{Malformed, Message, Old, Relation, RelationColumn, Tuple, TupleData};
pub use self::publication::{PublicationCatalog, PublicationVersion, Published, PublishedTable};
pub use self::slot::SlotWatch;
pub use self::slot::{SlotState, Source};
pub use self::slot::{SlotStatus, slot_status};
pub use self::slot::{end_own_walsender, is_held};
pub use self::slot_counters::SlotCounters;
pub use self::sql::SqlConnection;
pub use self::start::{Opened, StartAt, SystemId, open};
pub use self::stream::{WalMessage, WalStream};
pub use self::table::{CatalogueColumn, CustomTypes, FoundTable, TableName};
pub use self::unpublished::{UnpublishedRows, UnpublishedSearch};
pub use outbox_net::{Pem, Secret, SecretSource, Tls};
