use outbox_core::ConnectorConfig;
use outbox_net::Properties;

/// The classes that a connector takes from its worker, if it names none.
const CONVERTERS: [&str; 3] = ["key.converter", "value.converter", "header.converter"];
/// The keys of the worker's `producer.*` that the relay honours.
const PRODUCER: [&str; 3] = ["compression.type", "max.request.size", "metadata.max.age.ms"];

/// Adds the worker's settings to a connector's configuration, as Kafka Connect does: a connector that names no
/// converter uses the worker's, with the worker's options for it and without its own.
pub(super) fn completed(mut config: ConnectorConfig, worker: &Properties) -> ConnectorConfig {
    for class in CONVERTERS {
        if config.get(class).is_some() || worker.get(class).is_none() {
            continue;
        }
        let is_option = |key: &str| key.strip_prefix(class).is_some_and(|rest| rest.starts_with('.'));
        let ignored: Vec<String> =
            config.iter().map(|(key, _)| key).filter(|key| is_option(key)).map(Into::into).collect();
        config = ignored.iter().fold(config, |config, key| config.without(key));
        let of_worker = worker.iter().filter(|(key, _)| *key == class || is_option(key));
        config = of_worker.fold(config, |config, (key, value)| config.with(key, value));
    }
    for option in PRODUCER {
        let key = format!("producer.override.{option}");
        if let (None, Some(value)) = (config.get(&key), worker.get(&format!("producer.{option}"))) {
            config = config.with(key, value);
        }
    }
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connector_without_a_converter_has_the_worker_s() {
        let worker = Properties::parse(
            "key.converter=K\nkey.converter.schemas.enable=false\nvalue.converter=V\nvalue.converter.x=worker\n\
             producer.compression.type=lz4\nproducer.acks=1\nbootstrap.servers=b:1\n",
        );

        let json = r#"{"key.converter.y":"ignored","value.converter":"own","producer.override.max.request.size":"7"}"#;
        let config = completed(ConnectorConfig::from_json(json).unwrap(), &worker);
        let expected = [
            ("value.converter", "own"),
            ("producer.override.max.request.size", "7"),
            ("key.converter", "K"),
            ("key.converter.schemas.enable", "false"),
            ("producer.override.compression.type", "lz4"),
        ];
        assert_eq!(config.iter().collect::<Vec<_>>(), expected);
    }
}
