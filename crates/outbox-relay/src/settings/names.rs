use super::Finding;
use super::columns::used;
use super::finding::Findings;
use super::resolved::Resolved;
use outbox_wal::TableName;

/// Checks the options that replace what Avro does not allow in names: the relay replaces nothing, so there must be
/// nothing to replace. The table may be unknown.
pub(super) fn check(config: &Resolved, router: &str, table: Option<&TableName>, findings: &mut Findings) {
    let prefix = config.get("topic.prefix").unwrap_or_default();
    let schema: Vec<String> = table.iter().map(|table| format!("{prefix}.{table}")).collect();
    findings.take(check_mode(config, "schema.name.adjustment.mode", &schema));
    findings.take(check_mode(config, "field.name.adjustment.mode", &used(config, router)));
}

fn check_mode(config: &Resolved, key: &str, names: &[String]) -> Result<(), Finding> {
    match config.get(key).unwrap_or("none").to_ascii_lowercase().as_str() {
        "none" => Ok(()),
        "avro" | "avro_unicode" => match names.iter().find(|name| !is_plain(name)) {
            Some(name) => {
                Err(Finding::new(key, format!("it changes the name {name} in the schemas that records carry")))
            }
            None => Ok(()),
        },
        _ => Err(Finding::new(key, "it is one of none, avro, avro_unicode")),
    }
}

fn is_plain(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(is_allowed)
}
