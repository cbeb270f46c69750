/// Parts of the names of keys that hold secrets, in Kafka Connect, Debezium and the Kafka clients.
const MARKS: [&str; 9] =
    ["password", "passphrase", "secret", "token", "credential", "jaas", "api.key", "ssl.key", "sslkey"];

/// Returns the value as `Debug` may show it: a single placeholder reveals nothing.
pub(super) fn redacted<'a>(key: &str, value: &'a str) -> &'a str {
    let key = key.to_ascii_lowercase();
    let is_placeholder =
        value.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).is_some_and(|inner| !inner.contains('}'));
    if MARKS.iter().any(|mark| key.contains(mark)) && !is_placeholder { "[redacted]" } else { value }
}
