/// Classes that Kafka Connect also finds by their simple name, because it is unique. `Filter` and `ByteArrayConverter`
/// are ambiguous, and with `PostgresConnector` Debezium's task fails.
const CLASSES: [&str; 20] = [
    "io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent",
    "io.debezium.converters.BinaryDataConverter",
    "io.debezium.transforms.ByLogicalTableRouter",
    "io.debezium.transforms.ExtractNewRecordState",
    "io.debezium.transforms.outbox.EventRouter",
    "org.apache.kafka.connect.converters.BooleanConverter",
    "org.apache.kafka.connect.converters.DoubleConverter",
    "org.apache.kafka.connect.converters.FloatConverter",
    "org.apache.kafka.connect.converters.IntegerConverter",
    "org.apache.kafka.connect.converters.LongConverter",
    "org.apache.kafka.connect.converters.ShortConverter",
    "org.apache.kafka.connect.json.JsonConverter",
    "org.apache.kafka.connect.storage.SimpleHeaderConverter",
    "org.apache.kafka.connect.storage.StringConverter",
    "org.apache.kafka.connect.transforms.DropHeaders",
    "org.apache.kafka.connect.transforms.InsertHeader",
    "org.apache.kafka.connect.transforms.RegexRouter",
    "org.apache.kafka.connect.transforms.predicates.HasHeaderKey",
    "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
    "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
];

/// The kinds of plugins, which Connect removes from the ends of simple names.
const KINDS: [&str; 2] = ["HeaderConverter", "Converter"];

/// Returns the full name of the class that a key names. Other values stay as they are.
pub(super) fn full_name<'a>(key: &str, value: &'a str) -> &'a str {
    let is_plugin =
        ["transforms.", "predicates."].iter().any(|prefix| key.starts_with(prefix)) && key.ends_with(".type");
    let is_class = ["key.converter", "value.converter", "header.converter"].contains(&key);
    if !(is_plugin || is_class) || value.contains('.') {
        return value;
    }
    let is_name = |class: &&&str| {
        let last = class.rsplit('.').next().unwrap_or_default();
        last == value || (is_class && KINDS.iter().any(|kind| last.strip_suffix(kind) == Some(value)))
    };
    CLASSES.iter().find(is_name).copied().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_stand_for_classes() {
        for (key, value, class) in [
            ("connector.class", "PostgresConnector", "PostgresConnector"),
            ("value.converter", "Json", "org.apache.kafka.connect.json.JsonConverter"),
            ("key.converter", "LongConverter", "org.apache.kafka.connect.converters.LongConverter"),
            ("header.converter", "Simple", "org.apache.kafka.connect.storage.SimpleHeaderConverter"),
            ("transforms.outbox.type", "EventRouter", "io.debezium.transforms.outbox.EventRouter"),
            ("transforms.outbox.type", "Event", "Event"),
            ("value.converter", "ByteArrayConverter", "ByteArrayConverter"),
            ("value.converter", "a.JsonConverter", "a.JsonConverter"),
            ("slot.name", "Json", "Json"),
        ] {
            assert_eq!(full_name(key, value), class);
        }
    }
}
