use outbox_core::{ConnectorConfig, Pipeline};
use outbox_net::ErrorChain;
use outbox_relay::{CheckStatus, Relay, RelaySettings, ServerCheck};

use super::check::{Check, Checks, Status};
use crate::kafka::KafkaOptions;
use crate::model::ModelOptions;
use crate::postgres::DatabaseOptions;

const NAME: &str = "connector configuration";

/// Checks the connector's configuration against the table's model. Returns the pipeline of both if there is one.
pub(super) fn check(model: &ModelOptions, config: &ConnectorConfig, checks: &mut Checks) -> Option<Pipeline> {
    match Pipeline::new(config.clone(), model.layout()) {
        Ok(pipeline) => {
            checks.add(Check::ok(NAME, "it fits the table, and loses nothing"));
            Some(pipeline)
        }
        Err(error) => {
            let found = error.contradictions().map(|one| Check::failed(NAME, ErrorChain::new(one).to_string()));
            checks.extend(found.collect::<Vec<_>>());
            let remedy = "outbox config generate connector prints one that fits, outbox connector diff what differs";
            checks.add(
                Check::skipped("database", "table, publication and slot need a configuration that fits").remedy(remedy),
            );
            None
        }
    }
}

/// Checks PostgreSQL and Kafka as the relay does before it starts: topics, sizes, ACLs, clocks.
pub(super) async fn servers(
    config: &ConnectorConfig,
    database: &DatabaseOptions,
    kafka: &KafkaOptions,
    topics: &[String],
) -> Vec<Check> {
    let brokers = match kafka.brokers() {
        Ok(Some(brokers)) => brokers,
        Ok(None) => return vec![Check::skipped("kafka", "no brokers are named").remedy("give --brokers HOST:PORT")],
        Err(failure) => return vec![Check::failed("kafka", failure.to_string())],
    };
    let checked = async {
        let (config, password) = database.place(config).await.map_err(|failure| failure.to_string())?;
        let settings = RelaySettings::builder(config, brokers).postgres_password(password);
        let settings = settings.build().map_err(|e| ErrorChain::new(&e).to_string())?;
        let mut relay = Relay::new(settings).map_err(|e| ErrorChain::new(&e).to_string())?;
        if let Some(security) = kafka.security().map_err(|failure| failure.to_string())? {
            relay = relay.kafka_security(security);
        }
        Ok::<_, String>(relay.check(topics).await)
    };
    match checked.await {
        Ok(found) => found.iter().map(of_server).collect(),
        Err(reason) => {
            let check =
                Check::skipped("kafka", format!("the relay, whose checks these are, cannot be set up: {reason}"));
            vec![check.remedy("outbox-relay check FILE lists everything that the relay rejects")]
        }
    }
}

fn of_server(check: &ServerCheck) -> Check {
    let status = match check.status() {
        CheckStatus::Ok => Status::Ok,
        CheckStatus::Warning => Status::Warning,
        CheckStatus::Skipped => Status::Skipped,
        _ => Status::Failed,
    };
    let found = Check::new(check.name().to_lowercase(), status, check.detail());
    match check.remedy() {
        Some(remedy) => found.remedy(remedy),
        None => found,
    }
}
