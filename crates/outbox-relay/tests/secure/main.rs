//! The relay and servers that demand TLS and a login. No secret is in what it says.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod certificates;
mod kafka;
mod postgres;
mod said;
mod secure_postgres;
