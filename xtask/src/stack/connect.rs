use std::io;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::error::StackError;
use super::http::JsonHttp;
use super::kafka::jvm_args;
use super::options::StackOptions;
use super::paths::{self, create};
use super::ports::Ports;
use super::postgres::DATABASE;
use super::process::{Launch, base_environment};
use super::properties;
use super::provision::Programs;
use super::readiness::Probed;
use super::service::Service;

const DEBEZIUM: &str = "io.debezium.connector.postgresql.PostgresConnector";
/// The role that the connector's configuration finds in the worker's environment; its password
/// is the same word.
const ROLE: &str = "outbox_connector";
const STRING_CONVERTER: &str = "org.apache.kafka.connect.storage.StringConverter";

/// Writes the worker's configuration.
pub(crate) fn prepare(options: &StackOptions, ports: &Ports, programs: &Programs) -> Result<Launch, StackError> {
    let home = options.paths.home(Service::Connect);
    create(&home)?;
    let config = home.join("worker.properties");
    paths::write(&config, &worker_properties(options.brokers, ports, &programs.plugins))?;

    let mut args = jvm_args(programs, "-Xmx768m");
    // It would log each request, and those who wait ask often.
    args.insert(0, "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.connect.runtime.rest.RestServer=warn".to_owned());
    args.push("org.apache.kafka.connect.cli.ConnectDistributed".to_owned());
    args.push(config.display().to_string());

    let mut env = base_environment();
    for (name, value) in [
        ("OUTBOX_DB_HOST", "127.0.0.1".to_owned()),
        ("OUTBOX_DB_PORT", ports.postgres.to_string()),
        ("OUTBOX_DB_USER", ROLE.to_owned()),
        ("OUTBOX_DB_PASSWORD", ROLE.to_owned()),
        ("OUTBOX_DB_NAME", DATABASE.to_owned()),
    ] {
        env.insert(name.to_owned(), value);
    }

    Ok(Launch {
        program: programs.java.clone(),
        args,
        env,
        directory: home,
        account: None,
        log: options.paths.log(Service::Connect),
    })
}

/// Returns whether the worker takes part in its group and has found Debezium.
pub(crate) fn probe(port: u16) -> Probed {
    let http = JsonHttp::new(format!("http://127.0.0.1:{port}"), Duration::from_secs(5));
    let health = http.get("/health")?;
    if health.status != 200 {
        return Err(io::Error::other(format!("GET /health answers {}", health.status)).into());
    }
    let plugins = http.get("/connector-plugins")?;
    let is_debezium = |plugin: &Value| plugin.get("class").and_then(Value::as_str) == Some(DEBEZIUM);
    match plugins.body.as_array() {
        Some(found) if found.iter().any(is_debezium) => Ok(()),
        _ => Err(io::Error::other(format!("GET /connector-plugins does not list {DEBEZIUM}")).into()),
    }
}

fn worker_properties(brokers: u8, ports: &Ports, plugins: &Path) -> String {
    let one = || "1".to_owned();
    let replicas = || brokers.to_string();
    let kafka: Vec<_> =
        [ports.kafka, ports.kafka2, ports.kafka3].iter().map(|port| format!("127.0.0.1:{port}")).collect();

    let kafka = kafka.get(..brokers.into()).unwrap_or(&kafka).join(",");
    properties::render(&[
        ("bootstrap.servers", kafka),
        ("listeners", format!("http://127.0.0.1:{}", ports.connect)),
        ("rest.advertised.host.name", "127.0.0.1".to_owned()),
        ("group.id", "outbox-connect".to_owned()),
        // A worker that comes back after a crash waits for the end of its former session. This
        // is the shortest one that brokers allow.
        ("session.timeout.ms", "6000".to_owned()),
        ("heartbeat.interval.ms", "2000".to_owned()),
        ("scheduled.rebalance.max.delay.ms", "0".to_owned()),
        ("config.storage.topic", "outbox-connect-configs".to_owned()),
        ("config.storage.replication.factor", replicas()),
        ("offset.storage.topic", "outbox-connect-offsets".to_owned()),
        ("offset.storage.replication.factor", replicas()),
        ("offset.storage.partitions", one()),
        ("offset.flush.interval.ms", "5000".to_owned()),
        ("status.storage.topic", "outbox-connect-status".to_owned()),
        ("status.storage.replication.factor", replicas()),
        ("status.storage.partitions", one()),
        ("key.converter", STRING_CONVERTER.to_owned()),
        ("value.converter", STRING_CONVERTER.to_owned()),
        ("topic.creation.enable", "true".to_owned()),
        ("connector.client.config.override.policy", "All".to_owned()),
        ("plugin.path", plugins.display().to_string()),
        ("plugin.discovery", "service_load".to_owned()),
        ("config.providers", "env".to_owned()),
        ("config.providers.env.class", "org.apache.kafka.common.config.provider.EnvVarConfigProvider".to_owned()),
        ("config.providers.env.param.allowlist.pattern", "OUTBOX_.*".to_owned()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connectors_see_no_variable_but_the_outbox_ones() {
        let ports = Ports { postgres: 1, kafka: 2, kafka2: 5, kafka3: 6, controller: 3, connect: 4 };
        let rendered = worker_properties(1, &ports, Path::new("/plugins"));
        assert!(rendered.contains("\nconfig.providers.env.param.allowlist.pattern=OUTBOX_.*\n"));
        assert!(rendered.contains("\nlisteners=http://127.0.0.1:4\n"));
        assert!(rendered.contains("bootstrap.servers=127.0.0.1:2\n"));
        let three = worker_properties(3, &ports, Path::new("/plugins"));
        assert!(three.contains("bootstrap.servers=127.0.0.1:2,127.0.0.1:5,127.0.0.1:6\n"));
    }
}
