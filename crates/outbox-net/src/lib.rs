//! The parts that clients of different servers share: the text of an error chain for a log line, and retry delays.

mod error_chain;

pub use self::error_chain::ErrorChain;
