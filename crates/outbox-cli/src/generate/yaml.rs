//! Files in YAML: the compose file, and the manifests of Strimzi.

use clap::Args;
use outbox_core::{Identifier, Pipeline};

use super::sql::{self, ScriptRoles};
use crate::exit::Failure;

/// The connection of the connector, and the variable of Kafka Connect's environment with each part.
const CONNECTION: [(&str, &str); 5] = [
    ("database.hostname", "${env:OUTBOX_DB_HOST}"),
    ("database.port", "${env:OUTBOX_DB_PORT}"),
    ("database.user", "${env:OUTBOX_DB_USER}"),
    ("database.password", "${env:OUTBOX_DB_PASSWORD}"),
    ("database.dbname", "${env:OUTBOX_DB_NAME}"),
];

/// The role that the connector reads as.
const ROLE: &str = "outbox_connector";

/// The parts of the compose file that are not made from the model.
#[derive(Args)]
#[group(skip)]
pub(crate) struct ComposeOptions {
    /// The image of Kafka Connect: that of Debezium, or one that has curl and reads the same variables. A digest, as in
    /// IMAGE:TAG@sha256:…, fixes its content
    #[arg(long, value_name = "IMAGE", default_value = "quay.io/debezium/connect:3.7.0.Final")]
    connect_image: String,
}

/// Returns the compose file of the servers, with everything that sets them up.
pub(super) fn compose_file(pipeline: &Pipeline, options: &ComposeOptions) -> Result<String, Failure> {
    let role = Identifier::new(ROLE).map_err(|e| Failure::usage("the connector's role has no name").caused_by(&e))?;
    let roles = ScriptRoles { connector_role: Some(role), ..ScriptRoles::default() };
    let connection = CONNECTION.iter();
    let config = connection.fold(pipeline.config().clone(), |config, (key, value)| config.with(*key, *value));
    let name = pipeline.slot().as_str();
    let url = format!("http://connect:8083/connectors/{name}/config");
    let register = format!(
        "curl --silent --show-error --fail-with-body --output /dev/null -X PUT -H 'content-type: application/json' \
         --data @/connector.json {url} && touch /tmp/registered && exec sleep infinity"
    );

    let text = TEMPLATE
        .replace("{name}", &quoted(&name.replace('_', "-")))
        .replace("{connect_image}", &quoted(&uninterpolated(&options.connect_image)))
        .replace("{register}", &quoted(&uninterpolated(&register)))
        .replace("{role}", ROLE)
        .replace("{setup}", &block(&uninterpolated(&sql::script(pipeline, &roles)), 6))
        .replace("{connector}", &block(&uninterpolated(&config.to_json()), 6));
    Ok(text)
}

/// Escapes text that compose would treat as a variable.
fn uninterpolated(text: &str) -> String {
    text.replace('$', "$$")
}

const TEMPLATE: &str = include_str!("compose.yml");

/// The keys that are fields of a KafkaConnector.
const FIELDS: [&str; 3] = ["name", "connector.class", "tasks.max"];

/// The parts of the manifests that depend on the Kubernetes cluster.
#[derive(Args)]
#[group(skip)]
pub(crate) struct StrimziOptions {
    /// The image that Strimzi builds and pushes, with the plugin of Debezium
    #[arg(long, value_name = "IMAGE", default_value = "registry.example.com/outbox-connect:3.7.0.Final")]
    image: String,
    /// The addresses of Kafka's brokers in the cluster
    #[arg(long, value_name = "BROKERS", default_value = "kafka-kafka-bootstrap:9092")]
    bootstrap_servers: String,
    /// The Secret with the keys host, port, name, user and password of the database
    #[arg(long, value_name = "SECRET", default_value = "outbox-database")]
    secret: String,
}

/// Returns the manifests of Kafka Connect and of the connector.
pub(super) fn strimzi_manifests(pipeline: &Pipeline, options: &StrimziOptions) -> String {
    // Names in Kubernetes have no underscores.
    let name = pipeline.slot().as_str().replace('_', "-");
    let (connector, connect) = (quoted(&name), quoted(&format!("{name}-connect")));
    let (image, brokers) = (quoted(&options.image), quoted(&options.bootstrap_servers));
    let topic = |suffix: &str| quoted(&format!("{name}-connect-{suffix}"));
    let (group, configs, offsets, status) =
        (quoted(&format!("{name}-connect")), topic("configs"), topic("offsets"), topic("status"));

    let config = pipeline.config();
    let get = |key: &str, default: &str| quoted(config.get(key).unwrap_or(default));
    let class = get("connector.class", "io.debezium.connector.postgresql.PostgresConnector");
    let keys: String = config
        .iter()
        .filter(|(key, _)| !FIELDS.contains(key))
        .map(|(key, value)| format!("    {}: {}\n", quoted(key), quoted(value)))
        .collect();

    let variables: String = ["HOST", "PORT", "NAME", "USER", "PASSWORD"]
        .iter()
        .map(|part| {
            let (secret, key) = (quoted(&options.secret), part.to_lowercase());
            format!(
                "        - name: OUTBOX_DB_{part}\n          valueFrom:\n            secretKeyRef:\n              \
                 name: {secret}\n              key: {key}\n"
            )
        })
        .collect();

    format!(
        r#"# Made by `outbox config generate strimzi`, for Strimzi 0.49 or later. Before it:
#   outbox config generate sql --connector-role ROLE, and psql with it
#   kubectl create secret generic {secret} --from-literal=host=… --from-literal=port=5432 --from-literal=name=… \
#     --from-literal=user=ROLE --from-file=password=FILE
apiVersion: kafka.strimzi.io/v1
kind: KafkaConnect
metadata:
  name: {connect}
  annotations:
    strimzi.io/use-connector-resources: "true"
spec:
  replicas: 1
  bootstrapServers: {brokers}
  groupId: {group}
  configStorageTopic: {configs}
  offsetStorageTopic: {offsets}
  statusStorageTopic: {status}
  config:
    # After a crash, records that were sent after the last flush are sent again.
    offset.flush.interval.ms: 5000
    config.providers: env
    config.providers.env.class: org.apache.kafka.common.config.provider.EnvVarConfigProvider
    config.providers.env.param.allowlist.pattern: OUTBOX_.*
  build:
    output:
      type: docker
      image: {image}
    plugins:
      - name: debezium-postgres
        artifacts:
          - type: maven
            group: io.debezium
            artifact: debezium-connector-postgres
            version: 3.7.0.Final
  template:
    connectContainer:
      env:
{variables}---
apiVersion: kafka.strimzi.io/v1
kind: KafkaConnector
metadata:
  name: {connector}
  labels:
    strimzi.io/cluster: {connect}
spec:
  class: {class}
  tasksMax: 1
  autoRestart:
    enabled: true
  config:
{keys}"#,
        secret = options.secret,
    )
}

/// Returns a text as a double-quoted scalar, in which YAML has the escapes of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns the lines of a text for a literal block, which is indented by a number of spaces.
fn block(text: &str, indent: usize) -> String {
    let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("{:indent$}{line}\n", "") };
    text.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_characters() {
        assert_eq!(quoted("a: \"b\"\n"), r#""a: \"b\"\n""#);
        assert_eq!(block("a\n\n b\n", 2), "  a\n\n   b\n");
    }
}
