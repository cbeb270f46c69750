//! Logins and TLS to a real Kafka: each way, what changes while the client runs, and what is wrong.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod heard;
mod kafka;
mod rejections;
mod rotation;
mod ways;
