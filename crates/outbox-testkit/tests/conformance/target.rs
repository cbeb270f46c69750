use std::sync::{Arc, Mutex};
use std::time::Duration;

use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    BrokerId, CreateTopicsRequest, DeleteTopicsRequest, ListOffsetsRequest, MetadataRequest,
};
use kafka_protocol::protocol::StrBytes;
use outbox_testkit::Broker;
use uuid::Uuid;

use super::client::{Client, topic_name};

/// The broker that a case runs against, and the topics that it has made there.
pub(crate) struct Target {
    pub(crate) address: String,
    /// Ends with the target.
    broker: Option<Broker>,
    topics: Mutex<Vec<String>>,
}

#[derive(Debug, Clone)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
}

impl Target {
    pub(crate) async fn double() -> Self {
        let broker = Broker::builder().default_partitions(3).start().await.unwrap();
        Self { address: broker.address(), broker: Some(broker), topics: Mutex::default() }
    }

    pub(crate) fn kafka() -> Self {
        let stack = xtask::stack::Stack::connect().unwrap();
        Self { address: stack.kafka_bootstrap(), broker: None, topics: Mutex::default() }
    }

    /// Runs a case, and deletes its topics however it ends.
    pub(crate) async fn run<F: Future<Output = ()> + Send + 'static>(self, case: impl FnOnce(Arc<Self>) -> F) {
        let target = Arc::new(self);
        let outcome = tokio::spawn(case(Arc::clone(&target))).await;
        let names: Vec<_> = target.topics.lock().unwrap().drain(..).collect();
        for name in names {
            let request = DeleteTopicsRequest::default().with_topic_names(vec![topic_name(&name)]);
            target.client().await.call(5, request.with_timeout_ms(10_000)).await;
        }
        outcome.unwrap();
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.address).await
    }

    /// Returns a name that is deleted at the end.
    pub(crate) fn fresh_name(&self) -> String {
        let name = format!("conformance-{}", Uuid::now_v7().simple());
        self.topics.lock().unwrap().push(name.clone());
        name
    }

    /// Compacts the double; Kafka does so in its own time.
    pub(crate) fn compact(&self, topic: &Topic) {
        if let Some(broker) = &self.broker {
            broker.compact(&topic.name, 0).unwrap();
        }
    }

    pub(crate) async fn topic(&self, partitions: i32) -> Topic {
        self.topic_with(partitions, &[]).await
    }

    pub(crate) async fn topic_with(&self, partitions: i32, configs: &[(&'static str, &'static str)]) -> Topic {
        let name = self.fresh_name();
        let configs = configs.iter().map(|(name, value)| {
            let value = Some(StrBytes::from_static_str(value));
            CreatableTopicConfig::default().with_name(StrBytes::from_static_str(name)).with_value(value)
        });
        let topic = CreatableTopic::default()
            .with_name(topic_name(&name))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(configs.collect());

        let mut client = self.client().await;
        let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(10_000);
        let created = client.call(7, request).await;
        assert_eq!(created.topics[0].error_code, 0, "{:?}", created.topics[0]);
        assert_eq!(created.topics[0].num_partitions, partitions);
        self.until_led(&name).await
    }

    /// Waits until the broker knows a topic and leads it: Kafka's learns of it after the controller.
    pub(crate) async fn until_led(&self, name: &str) -> Topic {
        let mut client = self.client().await;
        for _ in 0..200 {
            let asked = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
            let request =
                MetadataRequest::default().with_topics(Some(vec![asked])).with_allow_auto_topic_creation(false);
            let answer = client.call(12, request).await;
            let topic = &answer.topics[0];
            let is_described = topic.error_code == 0 && topic.partitions.iter().all(|found| found.error_code == 0);
            let partitions = topic.partitions.iter().map(|found| found.partition_index);
            if is_described && leads(&mut client, name, partitions).await {
                return Topic { name: name.to_owned(), id: topic.topic_id };
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{name} has no leader");
    }
}

/// Returns whether the broker serves the partitions: a broker under load describes itself as a leader before it is one.
async fn leads(client: &mut Client, name: &str, partitions: impl Iterator<Item = i32>) -> bool {
    const LATEST: i64 = -1;
    let partitions =
        partitions.map(|index| ListOffsetsPartition::default().with_partition_index(index).with_timestamp(LATEST));
    let topic = ListOffsetsTopic::default().with_name(topic_name(name)).with_partitions(partitions.collect());
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![topic]);
    let answer = client.call(5, request).await;
    answer.topics.iter().flat_map(|topic| &topic.partitions).all(|partition| partition.error_code == 0)
}
