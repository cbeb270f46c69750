use std::collections::BTreeMap;

use kafka_protocol::messages::{
    CreateTopicsRequest, FetchRequest, InitProducerIdRequest, ListOffsetsRequest, MetadataRequest, ProduceRequest,
};

use super::Compression;
use super::api::Api;
use super::error::{Error, Kind};
use super::gap::Gap;

/// The requests that a broker serves, and the versions of each (`ApiVersions`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// The oldest and the newest version of each API.
    versions: BTreeMap<i16, (i16, i16)>,
}

/// The first version of Metadata with topic ids.
const METADATA_WITH_TOPIC_IDS: i16 = 10;
/// The first versions that carry zstd. Brokers answer older ones with UNSUPPORTED_COMPRESSION_TYPE.
const PRODUCE_WITH_ZSTD: i16 = 7;
const FETCH_WITH_ZSTD: i16 = 10;
/// The first version of Produce with `record_errors`.
const PRODUCE_WITH_RECORD_ERRORS: i16 = 8;

impl Capabilities {
    pub(super) fn new(versions: impl IntoIterator<Item = (i16, (i16, i16))>) -> Self {
        Self { versions: versions.into_iter().collect() }
    }

    /// Returns the capabilities that both brokers have.
    pub(super) fn common(&self, other: &Self) -> Self {
        Self::new(self.versions.iter().filter_map(|(key, (oldest, newest))| {
            let (from, to) = other.versions.get(key)?;
            Some((*key, (*oldest.max(from), *newest.min(to))))
        }))
    }

    /// Returns the newest version of a request that both sides speak.
    pub(super) fn version_of<A: Api>(&self) -> Result<i16, Error> {
        let unsupported = || Error::new(Kind::Unsupported(gap_of(A::KEY))).by(A::NAME);
        let (oldest, newest) = self.versions.get(&A::KEY).ok_or_else(unsupported)?;
        let version = (*newest).min(*A::VERSIONS.end());
        if version < *oldest.max(A::VERSIONS.start()) { Err(unsupported()) } else { Ok(version) }
    }

    /// Returns the gaps of the broker that its versions show, the required abilities first.
    pub fn gaps(&self) -> Vec<Gap> {
        let lacks = |gap: &Gap| match gap {
            Gap::InitProducerId => !self.has::<InitProducerIdRequest>(0),
            Gap::Produce => !self.has::<ProduceRequest>(0),
            Gap::Fetch => !self.has::<FetchRequest>(0),
            Gap::ListOffsets => !self.has::<ListOffsetsRequest>(0),
            Gap::CreateTopics => !self.has::<CreateTopicsRequest>(0),
            Gap::TopicIds => !self.has::<MetadataRequest>(METADATA_WITH_TOPIC_IDS),
            Gap::Zstd => !self.accepts(Compression::Zstd),
            Gap::RecordErrors => !self.has::<ProduceRequest>(PRODUCE_WITH_RECORD_ERRORS),
            Gap::RepeatTimestamps => false,
        };
        Gap::ALL.into_iter().filter(lacks).collect()
    }

    /// Returns whether the broker's versions allow a compression. The broker may reject it all the same.
    pub fn accepts(&self, compression: Compression) -> bool {
        compression != Compression::Zstd
            || (self.has::<ProduceRequest>(PRODUCE_WITH_ZSTD) && self.has::<FetchRequest>(FETCH_WITH_ZSTD))
    }

    /// Returns an error if a request is missing that an idempotent producer needs.
    pub(super) fn check_producer(&self) -> Result<(), Error> {
        self.version_of::<InitProducerIdRequest>()?;
        self.version_of::<ProduceRequest>()?;
        self.version_of::<FetchRequest>()?;
        self.version_of::<ListOffsetsRequest>().map(|_| ())
    }

    fn has<A: Api>(&self, version: i16) -> bool {
        self.version_of::<A>().is_ok_and(|common| common >= version)
    }
}

/// Returns the gap of a broker that does not serve an API.
fn gap_of(key: i16) -> Option<Gap> {
    match key {
        InitProducerIdRequest::KEY => Some(Gap::InitProducerId),
        ProduceRequest::KEY => Some(Gap::Produce),
        FetchRequest::KEY => Some(Gap::Fetch),
        ListOffsetsRequest::KEY => Some(Gap::ListOffsets),
        CreateTopicsRequest::KEY => Some(Gap::CreateTopics),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KAFKA_4: [(i16, (i16, i16)); 6] = [
        (ProduceRequest::KEY, (0, 13)),
        (FetchRequest::KEY, (4, 18)),
        (ListOffsetsRequest::KEY, (1, 11)),
        (MetadataRequest::KEY, (0, 13)),
        (CreateTopicsRequest::KEY, (2, 7)),
        (InitProducerIdRequest::KEY, (0, 6)),
    ];

    fn kafka_4_but(key: i16, versions: Option<(i16, i16)>) -> Capabilities {
        let others = KAFKA_4.into_iter().filter(|(other, _)| *other != key);
        Capabilities::new(others.chain(versions.map(|versions| (key, versions))))
    }

    #[test]
    fn each_gap_follows_from_its_versions() {
        assert_eq!(Capabilities::new(KAFKA_4).gaps(), []);
        for (key, versions, gaps) in [
            (InitProducerIdRequest::KEY, None, [Gap::InitProducerId].as_slice()),
            (ProduceRequest::KEY, Some((0, 7)), &[Gap::RecordErrors]),
            (ProduceRequest::KEY, Some((0, 6)), &[Gap::Zstd, Gap::RecordErrors]),
            (ProduceRequest::KEY, Some((0, 4)), &[Gap::Produce, Gap::Zstd, Gap::RecordErrors]),
            (FetchRequest::KEY, Some((0, 9)), &[Gap::Zstd]),
            (FetchRequest::KEY, Some((0, 3)), &[Gap::Fetch, Gap::Zstd]),
            (ListOffsetsRequest::KEY, Some((0, 0)), &[Gap::ListOffsets]),
            (MetadataRequest::KEY, Some((0, 9)), &[Gap::TopicIds]),
            (CreateTopicsRequest::KEY, Some((0, 3)), &[Gap::CreateTopics]),
        ] {
            assert_eq!(kafka_4_but(key, versions).gaps(), gaps, "{key} {versions:?}");
        }
    }

    #[test]
    fn two_brokers_have_in_common_what_both_can_do() {
        let (old, other) =
            (kafka_4_but(MetadataRequest::KEY, Some((0, 8))), kafka_4_but(CreateTopicsRequest::KEY, None));
        assert_eq!(old.common(&other).gaps(), [Gap::CreateTopics, Gap::TopicIds]);
        assert_eq!(Capabilities::new(KAFKA_4).common(&old), old);
    }

    #[test]
    fn the_error_names_the_request_and_the_remedy() {
        let error = kafka_4_but(InitProducerIdRequest::KEY, None).check_producer().unwrap_err().at("kafka:9092");
        assert!(error.is_unsupported());
        let text = error.to_string();
        for part in ["kafka:9092", "InitProducerId", "appended twice", "use a broker"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
