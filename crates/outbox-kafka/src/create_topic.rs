use std::sync::Arc;

use futures_util::future::try_join_all;
use kafka_protocol::messages::CreateTopicsRequest;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::protocol::StrBytes;

use super::api::Api;
use super::cluster::topic_name;
use super::error::{Error, Kind};
use super::retries::Retries;
use super::{Cluster, ErrorCode, OffsetAt, Topic};

/// The way in which a topic is made. The broker decides the parts that are `None`.
#[derive(Clone, Debug, Default)]
pub struct NewTopic {
    /// The topic's name.
    pub name: String,
    /// The number of partitions; the broker's default if `None`.
    pub partitions: Option<i32>,
    /// The replication factor; the broker's default if `None`.
    pub replication: Option<i16>,
    /// Topic configurations, such as `cleanup.policy`.
    pub configs: Vec<(String, String)>,
}

/// Whether a request creates the topic.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Creation {
    Real,
    Checked,
}

impl Cluster {
    /// Makes a topic, unless there is one of that name, and waits until its partitions can be written.
    pub async fn create_topic(&self, topic: &NewTopic) -> Result<Arc<Topic>, Error> {
        let mut retries = Retries::within(self.settings().retry_timeout);
        let mut created = false;
        loop {
            let result = match created {
                false => self.try_create(topic, Creation::Real).await,
                true => Ok(()),
            };
            created |= result.is_ok();

            let result = match result {
                Ok(()) => self.refreshed(&topic.name).await,
                Err(e) => Err(e),
            };
            let failure = match result {
                Ok(Some(topic)) if topic.is_led() => {
                    // Brokers list a topic in metadata some time before they serve it.
                    let served = (0..topic.partitions()).map(|it| self.list_offsets(&topic, it, OffsetAt::Latest));
                    return try_join_all(served).await.map(|_| topic);
                }
                Ok(_) => Error::new(Kind::NoLeader),
                Err(e) if e.is_transient() => e,
                Err(e) => return Err(e.of_topic(&topic.name)),
            };

            if !retries.pause().await {
                return Err(failure.of_topic(&topic.name));
            }
        }
    }

    /// Checks whether a topic could be created: the right to do so, the replication factor, and the broker's policy.
    ///
    /// # Errors
    /// It could not, or it cannot be checked at present.
    pub async fn check_create_topic(&self, topic: &NewTopic) -> Result<(), Error> {
        self.try_create(topic, Creation::Checked).await.map_err(|e| e.of_topic(&topic.name))
    }

    /// Sends one request to the controller. A topic that exists already is a success.
    async fn try_create(&self, topic: &NewTopic, creation: Creation) -> Result<(), Error> {
        let string = |text: &String| StrBytes::from_string(text.clone());
        let configs = topic.configs.iter().map(|(name, value)| {
            CreatableTopicConfig::default().with_name(string(name)).with_value(Some(string(value)))
        });
        let wanted = CreatableTopic::default()
            .with_name(topic_name(&topic.name))
            .with_num_partitions(topic.partitions.unwrap_or(-1))
            .with_replication_factor(topic.replication.unwrap_or(-1))
            .with_configs(configs.collect());

        let timeout = i32::try_from(self.settings().request_timeout.as_millis()).unwrap_or(i32::MAX);
        let request = CreateTopicsRequest::default()
            .with_topics(vec![wanted])
            .with_timeout_ms(timeout / 2)
            .with_validate_only(creation == Creation::Checked);
        let controller = self.controller().await?;
        let here = |e: Error| e.by(CreateTopicsRequest::NAME).at(controller.broker());
        let answer = controller.request(&request).await?;
        let result = answer.topics.first().ok_or_else(|| here(Error::new(Kind::Malformed)))?;

        match ErrorCode::from_code(result.error_code) {
            None | Some(ErrorCode::TOPIC_ALREADY_EXISTS) => Ok(()),
            Some(code) => Err(here(Error::code_of(code, result.error_message.as_deref()))),
        }
    }
}
