use std::collections::BTreeMap;

use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{DescribeConfigsRequest, MetadataRequest};
use kafka_protocol::protocol::StrBytes;

use super::api::Api;
use super::cluster::topic_name;
use super::error::{Error, Kind};
use super::{Cluster, ErrorCode};

/// The permissions of the client for a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicRights {
    /// The number of partitions.
    pub partitions: usize,
    /// The set of allowed operations; `None` if the broker does not say.
    operations: Option<i32>,
}

/// The codes of operations (Kafka, `AclOperation`), which are places in the set.
const READ: u8 = 3;
const WRITE: u8 = 4;

/// The value of an unknown set.
const UNSAID: i32 = i32::MIN;

/// The code of a topic as a resource (Kafka, `ConfigResource.Type`).
const TOPIC: i8 = 2;

impl TopicRights {
    /// Returns whether records may be read, if the broker says so.
    #[must_use]
    pub fn may_read(self) -> Option<bool> {
        self.may(READ)
    }

    /// Returns whether records may be written, if the broker says so.
    #[must_use]
    pub fn may_write(self) -> Option<bool> {
        self.may(WRITE)
    }

    fn may(self, operation: u8) -> Option<bool> {
        self.operations.map(|set| set >> operation & 1 == 1)
    }
}

impl Cluster {
    /// Requests the client's permissions for a topic; `None` if there is none of that name. Brokers answer this from
    /// Kafka 2.3 on.
    ///
    /// # Errors
    /// No broker answers, or the client may not describe the topic.
    pub async fn topic_rights(&self, name: &str) -> Result<Option<TopicRights>, Error> {
        let wanted = vec![MetadataRequestTopic::default().with_name(Some(topic_name(name)))];
        let request = MetadataRequest::default()
            .with_topics(Some(wanted))
            .with_allow_auto_topic_creation(false)
            .with_include_topic_authorized_operations(true);
        let answer = self.any(&request).await?;
        let here = |e: Error| e.by(MetadataRequest::NAME).of_topic(name);
        let topic = answer.topics.first().ok_or_else(|| here(Error::new(Kind::Malformed)))?;

        match ErrorCode::from_code(topic.error_code) {
            Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => Ok(None),
            Some(code) => Err(here(Error::code_of(code, None))),
            None => {
                let operations = Some(topic.topic_authorized_operations).filter(|set| *set != UNSAID);
                Ok(Some(TopicRights { partitions: topic.partitions.len(), operations }))
            }
        }
    }

    /// Returns the size of the largest record batch that a topic takes (`max.message.bytes`), in bytes; `None` if the
    /// broker does not say.
    ///
    /// # Errors
    /// No broker answers, or the client may not describe the topic's configuration.
    pub async fn max_message_bytes(&self, name: &str) -> Result<Option<u64>, Error> {
        let configs = self.topic_configs(name, &["max.message.bytes"]).await?;
        Ok(configs.values().next().and_then(|value| value.parse().ok()))
    }

    /// Returns the values of a topic's configuration that are asked for, as far as the broker knows the keys.
    ///
    /// # Errors
    /// No broker answers, or the client may not describe the topic's configuration.
    pub async fn topic_configs(&self, name: &str, keys: &[&str]) -> Result<BTreeMap<String, String>, Error> {
        let keys = keys.iter().map(|&key| StrBytes::from_string(key.to_owned())).collect();
        let resource = DescribeConfigsResource::default()
            .with_resource_type(TOPIC)
            .with_resource_name(StrBytes::from_string(name.to_owned()))
            .with_configuration_keys(Some(keys));
        let answer = self.any(&DescribeConfigsRequest::default().with_resources(vec![resource])).await?;
        let here = |e: Error| e.by(DescribeConfigsRequest::NAME).of_topic(name);
        let result = answer.results.first().ok_or_else(|| here(Error::new(Kind::Malformed)))?;
        if let Some(code) = ErrorCode::from_code(result.error_code) {
            return Err(here(Error::code_of(code, result.error_message.as_deref())));
        }

        let known = result.configs.iter().filter_map(|config| {
            let value = config.value.as_ref()?;
            Some((config.name.to_string(), value.to_string()))
        });
        Ok(known.collect())
    }
}
