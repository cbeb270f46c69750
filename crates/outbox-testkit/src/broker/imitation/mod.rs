//! Differences from Apache Kafka 4 that the broker shows on request.

mod presets;

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use kafka_protocol::ResponseError;

use super::log::Codec;
use super::wire::Api;

/// The ways in which a broker differs from Apache Kafka 4: missing APIs, older versions, limits, other answers.
///
/// Traits combine. Each one narrows the result of the previous ones. [`new`](Self::new) differs in nothing. Presets
/// start from the published facts of one product; further traits may follow them.
///
/// ```
/// use outbox_testkit::{Api, Broker, Codec, Imitation};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), outbox_testkit::BrokerError> {
/// let imitation = Imitation::new().without_api(Api::InitProducerId).compression([Codec::Gzip]).without_topic_ids();
/// let broker = Broker::builder().imitating(imitation).start().await?;
/// let event_hubs = Broker::builder().imitating(Imitation::azure_event_hubs_premium()).start().await?;
/// # drop((broker, event_hubs));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Imitation {
    /// The versions of an API; `None` if it is missing. APIs that are not named have all versions.
    versions: BTreeMap<Api, Option<(i16, i16)>>,
    codecs: Codecs,
    newer_api_versions: NewerApiVersions,
    topic_ids: TopicIds,
    repeats: Repeats,
    generic_error: Option<ResponseError>,
    max_message_bytes: Option<i32>,
    max_request_bytes: Option<u32>,
}

/// The codecs that Produce accepts, and the error for the others. Uncompressed batches are always accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Codecs {
    accepted: Vec<Codec>,
    error: ResponseError,
}

impl Default for Codecs {
    fn default() -> Self {
        Self { accepted: Codec::ALL.to_vec(), error: ResponseError::UnsupportedCompressionType }
    }
}

impl Codecs {
    pub(super) fn check(&self, codec: Option<Codec>) -> Result<(), ResponseError> {
        if codec.is_none_or(|codec| self.accepted.contains(&codec)) { Ok(()) } else { Err(self.error) }
    }
}

/// The reaction to an ApiVersions request of a version that is not served.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum NewerApiVersions {
    #[default]
    Answered,
    ConnectionClosed,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum TopicIds {
    #[default]
    Assigned,
    Nil,
}

/// The time in the answer to a repeated batch of an idempotent producer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Repeats {
    #[default]
    Timestamp,
    NoTimestamp,
}

impl Imitation {
    /// Creates an imitation that differs in nothing from Apache Kafka 4.
    pub fn new() -> Self {
        Self::default()
    }

    /// Removes an API: ApiVersions does not list it, and a request for it closes the connection.
    pub fn without_api(mut self, api: Api) -> Self {
        self.versions.insert(api, None);
        self
    }

    /// Narrows the versions of an API. Versions that the broker does not serve anyway stay unserved.
    ///
    /// The API is missing, as after [`without_api`](Self::without_api), if no version is left.
    pub fn versions(mut self, api: Api, versions: RangeInclusive<i16>) -> Self {
        let (oldest, newest) = versions.into_inner();
        let narrowed = match self.versions.get(&api) {
            Some(None) => None,
            Some(Some((from, to))) => Some((oldest.max(*from), newest.min(*to))),
            None => Some((oldest, newest)),
        };
        self.versions.insert(api, narrowed.filter(|(oldest, newest)| oldest <= newest));
        self
    }

    /// Removes the versions that carry topic ids (KIP-516): Metadata from 10 on, Fetch and Produce from 13 on,
    /// CreateTopics from 7 on, and DeleteTopics from 6 on.
    pub fn without_topic_ids(self) -> Self {
        self.versions(Api::Metadata, 0..=9)
            .versions(Api::Fetch, 0..=12)
            .versions(Api::Produce, 0..=12)
            .versions(Api::CreateTopics, 0..=6)
            .versions(Api::DeleteTopics, 0..=5)
    }

    /// Answers Metadata and CreateTopics with nil topic ids, in the versions that have the field.
    ///
    /// Kafka 2.8 and later do so while `inter.broker.protocol.version` is below 2.8.
    pub fn nil_topic_ids(mut self) -> Self {
        self.topic_ids = TopicIds::Nil;
        self
    }

    /// Accepts only these codecs, and uncompressed batches. Produce answers others with UNSUPPORTED_COMPRESSION_TYPE
    /// (76), or with the [`compression_error`](Self::compression_error).
    pub fn compression(mut self, accepted: impl IntoIterator<Item = Codec>) -> Self {
        self.codecs.accepted = accepted.into_iter().collect();
        self
    }

    /// Sets the error for batches of a codec that is not accepted: UNSUPPORTED_COMPRESSION_TYPE (76) by default.
    pub fn compression_error(mut self, error: ResponseError) -> Self {
        self.codecs.error = error;
        self
    }

    /// Answers a repeated batch of an idempotent producer without a time: `log_append_time_ms` is -1.
    ///
    /// Apache Kafka answers with the largest timestamp of the batch. The protocol does not require it.
    pub fn without_repeat_timestamps(mut self) -> Self {
        self.repeats = Repeats::NoTimestamp;
        self
    }

    /// Answers with this error in place of every retriable one, injected faults included.
    ///
    /// UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_ID and CORRUPT_MESSAGE stay: they describe the request.
    pub fn generic_error(mut self, error: ResponseError) -> Self {
        self.generic_error = Some(error);
        self
    }

    /// Sets the largest record batch in bytes (`message.max.bytes`). Larger ones are answered with MESSAGE_TOO_LARGE.
    pub fn max_message_bytes(mut self, bytes: i32) -> Self {
        self.max_message_bytes = Some(bytes);
        self
    }

    /// Sets the largest request in bytes. A larger one closes its connection without an answer.
    pub fn max_request_bytes(mut self, bytes: u32) -> Self {
        self.max_request_bytes = Some(bytes);
        self
    }

    /// Closes the connection on an ApiVersions request of a version that is not served.
    ///
    /// Apache Kafka answers it with UNSUPPORTED_VERSION in version 0 (KIP-511).
    pub fn closes_on_newer_api_versions(mut self) -> Self {
        self.newer_api_versions = NewerApiVersions::ConnectionClosed;
        self
    }

    /// Returns the versions of the broker that the imitation serves.
    pub(super) fn left_of(&self, api: Api, oldest: i16, newest: i16) -> Option<(i16, i16)> {
        let (from, to) = match self.versions.get(&api) {
            None => return Some((oldest, newest)),
            Some(narrowed) => (*narrowed)?,
        };
        Some((oldest.max(from), newest.min(to))).filter(|(oldest, newest)| oldest <= newest)
    }

    pub(super) fn answers_newer_api_versions(&self) -> bool {
        self.newer_api_versions == NewerApiVersions::Answered
    }

    pub(super) fn codecs(&self) -> &Codecs {
        &self.codecs
    }

    /// Returns whether answers carry topic ids in the versions that have the field.
    pub(super) fn has_topic_ids(&self) -> bool {
        self.topic_ids == TopicIds::Assigned
    }

    /// Returns the `log_append_time_ms` of the answer to a repeated batch.
    pub(super) fn repeat_timestamp(&self, timestamp: i64) -> i64 {
        match self.repeats {
            Repeats::Timestamp => timestamp,
            Repeats::NoTimestamp => -1,
        }
    }

    /// Returns the error to answer in place of another.
    pub(super) fn answered(&self, error: ResponseError) -> ResponseError {
        let of_request = matches!(
            error,
            ResponseError::UnknownTopicOrPartition | ResponseError::UnknownTopicId | ResponseError::CorruptMessage
        );
        self.generic_error.filter(|_| error.is_retriable() && !of_request).unwrap_or(error)
    }

    pub(super) fn message_limit(&self) -> Option<i32> {
        self.max_message_bytes
    }

    pub(super) fn request_limit(&self) -> Option<u32> {
        self.max_request_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_only_narrow() {
        let imitation = Imitation::new().versions(Api::Fetch, 0..=11).versions(Api::Fetch, 6..=99);
        assert_eq!(imitation.left_of(Api::Fetch, 4, 18), Some((6, 11)));
        assert_eq!(imitation.left_of(Api::Produce, 3, 13), Some((3, 13)));
        assert_eq!(imitation.versions(Api::Fetch, 12..=18).left_of(Api::Fetch, 4, 18), None);

        let gone = Imitation::new().without_api(Api::Fetch).versions(Api::Fetch, 0..=11);
        assert_eq!(gone.left_of(Api::Fetch, 4, 18), None);
        assert_eq!(Imitation::new().versions(Api::Fetch, 0..=3).left_of(Api::Fetch, 4, 18), None);
    }

    #[test]
    fn a_generic_error_hides_only_retriable_ones() {
        let imitation = Imitation::new().generic_error(ResponseError::KafkaStorageError);
        for (error, expected) in [
            (ResponseError::NotLeaderOrFollower, ResponseError::KafkaStorageError),
            (ResponseError::NotEnoughReplicas, ResponseError::KafkaStorageError),
            (ResponseError::UnknownTopicOrPartition, ResponseError::UnknownTopicOrPartition),
            (ResponseError::MessageTooLarge, ResponseError::MessageTooLarge),
        ] {
            assert_eq!(imitation.answered(error), expected);
            assert_eq!(Imitation::new().answered(error), error);
        }
    }
}
