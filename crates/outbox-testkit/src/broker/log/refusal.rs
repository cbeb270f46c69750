use kafka_protocol::ResponseError;

/// The reason why a batch is not appended, with the invalid records if it concerns single ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::broker) struct Refusal {
    pub(in crate::broker) error: ResponseError,
    pub(in crate::broker) message: Option<String>,
    /// The indexes in the batch, with messages.
    pub(in crate::broker) records: Vec<(i32, String)>,
}

impl Refusal {
    pub(in crate::broker) fn new(error: ResponseError, message: impl Into<String>) -> Self {
        Self { error, message: Some(message.into()), records: Vec::new() }
    }
}

impl From<ResponseError> for Refusal {
    fn from(error: ResponseError) -> Self {
        Self { error, message: None, records: Vec::new() }
    }
}
