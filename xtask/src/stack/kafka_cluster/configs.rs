use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    AlterClientQuotasRequest, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use super::super::error::StackError;
use super::KafkaCluster;
use super::administration::{check, text};

/// The target of a quota.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuotaEntity {
    /// Each client id for which there is no other quota.
    EachClient,
    /// One client id.
    Client(String),
    /// Each user for whom there is no other quota.
    EachUser,
    /// One user, without the `User:` of principals. On a listener without login it is `ANONYMOUS`.
    User(String),
}

/// Values of `ConfigResource.Type`.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
/// Values of `AlterConfigOp.OpType`.
const SET: i8 = 0;
const DELETE: i8 = 1;

impl KafkaCluster {
    /// Sets a configuration of a topic; none restores the default.
    pub fn configure_topic(&self, topic: &str, name: &str, value: Option<&str>) -> Result<(), StackError> {
        let request = alteration(TOPIC, topic, name, value);
        configured(&self.administer(&request, 1)?, &format!("configure topic {topic}"))
    }

    /// Sets a dynamic configuration of one broker, which must run; none restores the default.
    pub fn configure_broker(&self, broker: i32, name: &str, value: Option<&str>) -> Result<(), StackError> {
        let request = alteration(BROKER, &broker.to_string(), name, value);
        configured(&self.administer_by(broker, &request, 1)?, &format!("configure broker {broker}"))
    }

    /// Sets a dynamic configuration of all brokers; none restores the default.
    pub fn configure_brokers(&self, name: &str, value: Option<&str>) -> Result<(), StackError> {
        let request = alteration(BROKER, "", name, value);
        configured(&self.administer(&request, 1)?, "configure the brokers")
    }

    /// Sets a quota, such as `producer_byte_rate`, `consumer_byte_rate` (both in bytes a second and broker) or
    /// `request_percentage`; none removes it.
    pub fn set_quota(&self, entity: &QuotaEntity, quota: &str, limit: Option<f64>) -> Result<(), StackError> {
        let (kind, name) = match entity {
            QuotaEntity::EachClient => ("client-id", None),
            QuotaEntity::Client(name) => ("client-id", Some(text(name))),
            QuotaEntity::EachUser => ("user", None),
            QuotaEntity::User(name) => ("user", Some(text(name))),
        };

        let operation =
            OpData::default().with_key(text(quota)).with_value(limit.unwrap_or_default()).with_remove(limit.is_none());
        let entity = EntityData::default().with_entity_type(text(kind)).with_entity_name(name);
        let entry = EntryData::default().with_entity(vec![entity]).with_ops(vec![operation]);
        let answer = self.administer(&AlterClientQuotasRequest::default().with_entries(vec![entry]), 1)?;
        let mut entries = answer.entries.iter();
        entries.try_for_each(|entry| check("set a quota", entry.error_code, entry.error_message.as_ref()))
    }
}

fn configured(answer: &IncrementalAlterConfigsResponse, action: &str) -> Result<(), StackError> {
    let mut responses = answer.responses.iter();
    responses.try_for_each(|resource| check(action, resource.error_code, resource.error_message.as_ref()))
}

fn alteration(kind: i8, resource: &str, name: &str, value: Option<&str>) -> IncrementalAlterConfigsRequest {
    let config = AlterableConfig::default()
        .with_name(text(name))
        .with_config_operation(if value.is_some() { SET } else { DELETE })
        .with_value(value.map(text));
    IncrementalAlterConfigsRequest::default().with_resources(vec![
        AlterConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(resource))
            .with_configs(vec![config]),
    ])
}
