//! Frames, and the checks of a request before the codec decodes it.

mod api;
pub(super) mod frame;
pub(super) mod request;
pub(super) mod schema;
mod shape;

use std::io;

pub use self::api::Api;

/// Input that ends its connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Malformed {
    #[error("the frame's length {0} is out of range")]
    FrameLength(i32),
    #[error("the request is cut short, or longer than its lengths say")]
    Truncated,
    #[error("the request has too many elements")]
    TooManyElements,
    #[error("the API key {0} in version {1} is not served")]
    NotServed(i16, i16),
    #[error("the codec refused the message")]
    Codec,
    #[error("the connection failed")]
    Connection(#[from] io::Error),
}
