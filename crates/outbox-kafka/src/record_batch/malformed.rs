/// Bytes that are no record batch, or not a whole one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed record batch: {0}")]
pub struct Malformed(pub &'static str);
