use outbox_core::ConnectorConfig;

use super::yaml::{Node, documents};

/// Reads the configuration of the only `KafkaConnector` of a text (Strimzi, "KafkaConnector schema reference"). Its
/// name, class and number of tasks are those of the resource.
pub(super) fn connector(text: &str) -> Result<ConnectorConfig, String> {
    let documents = documents(text)?;
    let is_connector = |node: &&Node| node.get("kind").and_then(Node::text) == Some("KafkaConnector");
    let mut connectors = documents.iter().filter(is_connector);
    let connector = match (connectors.next(), connectors.next()) {
        (Some(connector), None) => connector,
        (Some(_), Some(_)) => return Err("it has several resources of the kind KafkaConnector: keep one".to_owned()),
        (None, _) => return Err("it has no resource of the kind KafkaConnector".to_owned()),
    };
    let Some(spec) = connector.get("spec") else { return Err("the KafkaConnector has no spec".to_owned()) };
    let Some(Node::Mapping(config)) = spec.get("config") else {
        return Err("the KafkaConnector has no spec.config".to_owned());
    };

    let of_resource = [
        ("name", connector.get("metadata").and_then(|metadata| metadata.get("name"))),
        ("connector.class", spec.get("class")),
        ("tasks.max", spec.get("tasksMax")),
    ];
    let of_resource: Vec<_> = of_resource.into_iter().filter_map(|(key, node)| Some((key, node?.text()?))).collect();
    let mut entries = of_resource.clone();
    for (key, node) in config {
        let value =
            node.text().ok_or_else(|| format!("spec.config.{key} is neither text nor a number nor a boolean"))?;
        if node.is_rewritten_number() {
            return Err(format!("spec.config.{key} is a number that Kubernetes writes in another way: quote it"));
        }
        if !of_resource.iter().any(|(known, _)| known == key) {
            entries.push((key, value));
        }
    }

    Ok(entries.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOURCE: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
apiVersion: kafka.strimzi.io/v1
kind: KafkaConnector
metadata:
  name: orders
  labels: {strimzi.io/cluster: connect}
spec:
  class: io.debezium.connector.postgresql.PostgresConnector
  tasksMax: 1
  autoRestart: {enabled: true}
  config:
    connector.class: ignored
    database.port: 5432
    database.password: \"${env:PASSWORD}\"
    slot.failover: True
    quoted: 'yes'
    tagged: !!str 010
    plain: on
    folded: >-
      a
      b
";

    #[test]
    fn the_connector_among_other_resources_is_read() {
        let config = connector(RESOURCE).unwrap();
        let expected = [
            ("name", "orders"),
            ("connector.class", "io.debezium.connector.postgresql.PostgresConnector"),
            ("tasks.max", "1"),
            ("database.port", "5432"),
            ("database.password", "${env:PASSWORD}"),
            ("slot.failover", "true"),
            ("quoted", "yes"),
            ("tagged", "010"),
            ("plain", "true"),
            ("folded", "a b"),
        ];
        assert_eq!(config.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_resource_that_cannot_be_used_is_refused_without_its_values() {
        let with = |text: &str, by: &str| connector(&RESOURCE.replace(text, by)).unwrap_err();
        for (error, words) in [
            (with("kind: KafkaConnector", "kind: KafkaConnect"), "no resource of the kind"),
            (connector(&format!("{RESOURCE}---{RESOURCE}")).unwrap_err(), "several"),
            (with("  config:", "  settings:"), "no spec.config"),
            (with("5432", "[hunter2]"), "spec.config.database.port is neither"),
            (with("5432", "~"), "spec.config.database.port is neither"),
            (with("5432", "&a hunter2\n    other: *a"), "alias"),
            (with("5432", "010"), "spec.config.database.port is a number"),
            (with("5432", "5432\n    database.port: 5433"), "the key database.port twice"),
            (with("5432", "\"hunter2"), "no YAML"),
            (connector("").unwrap_err(), "no resource"),
        ] {
            assert!(error.contains(words) && !error.contains("hunter2"), "{error}");
        }
    }
}
