//! The workspace's servers: real PostgreSQL, Kafka and Kafka Connect with Debezium, as plain
//! processes on 127.0.0.1.
//!
//! The binary of this package starts and stops them (`cargo xtask stack up`), runs the tests
//! against a set of their own (`cargo xtask test`) and shows the example (`cargo xtask demo`).
//! The library is for integration tests, which find the running servers with [`Stack::connect`]
//! and may stop, kill, pause and start each of them:
//!
//! ```no_run
//! use std::time::Duration;
//! use xtask::stack::{Service, Stack};
//!
//! # fn main() -> Result<(), xtask::stack::StackError> {
//! let stack = Stack::connect()?;
//! let connect = stack.connect_rest();
//! connect.wait_running("outbox-connector", Duration::from_secs(60))?;
//! stack.kill(Service::Connect)?;
//! stack.start(Service::Connect)?;
//! # Ok(())
//! # }
//! ```
//!
//! [`Stack::connect`]: stack::Stack::connect

pub mod stack;

/// The variable that `cargo xtask test --full` sets to `1`.
pub const FULL_VARIABLE: &str = "OUTBOX_FULL";

/// Returns whether tests should choose their larger sizes, as in `cargo xtask test --full`.
pub fn is_full() -> bool {
    std::env::var_os(FULL_VARIABLE).is_some_and(|value| value == "1")
}
