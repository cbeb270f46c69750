//! The service while a server that it needs is unreachable. These tests stop servers, so they are a program of their
//! own, and take turns.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

#[path = "../fixture/mod.rs"]
mod fixture;

mod away;
mod database;
mod delivery;
