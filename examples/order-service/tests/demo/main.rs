//! `order-service demo`, and its page in a browser.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod browser;
mod http;
mod messages;
mod page;
mod service;
