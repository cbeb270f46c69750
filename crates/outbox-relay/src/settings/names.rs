use super::Finding;
use super::columns::used;
use super::finding::Findings;
use super::resolved::Resolved;
use outbox_wal::TableName;

/// The strategies that name the topics of rows `PREFIX.SCHEMA.TABLE`.
const USUAL_STRATEGIES: [&str; 2] =
    ["io.debezium.schema.SchemaTopicNamingStrategy", "io.debezium.schema.DefaultTopicNamingStrategy"];
/// The strategies that do so unless a name has characters that are illegal in topics.
const UNICODE_STRATEGIES: [&str; 2] =
    ["io.debezium.schema.SchemaUnicodeTopicNamingStrategy", "io.debezium.schema.DefaultUnicodeTopicNamingStrategy"];

/// Checks the options that change names and schemas: they must not change the contents of records. The table may be
/// unknown.
pub(super) fn check(config: &Resolved, router: &str, table: Option<&TableName>, findings: &mut Findings) {
    let prefix = config.get("topic.prefix").unwrap_or_default();
    let is_carried = carries_names(config, router);
    let schema: Vec<String> = table.iter().filter(|_| is_carried).map(|table| format!("{prefix}.{table}")).collect();
    findings.take(check_mode(config, "schema.name.adjustment.mode", &schema));
    findings.take(check_mode(config, "field.name.adjustment.mode", &used(config, router)));
    findings.take(check_strategy(config, is_carried));
    findings.take(check_delimiter(config, is_carried));
    for key in ["datatype.propagate.source.type", "include.schema.comments"] {
        findings.take(check_additions(config, key));
    }
}

/// Returns whether records carry the names of tables: as the name of an envelope's schema.
fn carries_names(config: &Resolved, router: &str) -> bool {
    let placement = config.get(&format!("transforms.{router}.table.fields.additional.placement")).unwrap_or_default();
    config.writes_schemas("value") && placement.to_ascii_lowercase().contains("envelope")
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

fn check_strategy(config: &Resolved, is_carried: bool) -> Result<(), Finding> {
    let key = "topic.naming.strategy";
    let has_predicates = config.get("predicates").is_some_and(|list| !list.is_empty());
    match config.get(key) {
        None => Ok(()),
        Some(class) if USUAL_STRATEGIES.contains(&class) => Ok(()),
        Some(class) if UNICODE_STRATEGIES.contains(&class) && !is_carried && !has_predicates => Ok(()),
        Some(_) => {
            let reason = "it may change the topics that predicates see, and the schemas that records carry";
            Err(Finding::new(key, reason).with_remedy("remove the key"))
        }
    }
}

fn check_delimiter(config: &Resolved, is_carried: bool) -> Result<(), Finding> {
    let key = "topic.delimiter";
    match config.get(key) {
        Some(delimiter) if delimiter != "." && is_carried => {
            Err(Finding::new(key, "it changes the schemas that records carry").with_remedy("remove the key"))
        }
        _ => Ok(()),
    }
}

/// Checks an option that adds parameters or comments to the schemas of columns.
fn check_additions(config: &Resolved, key: &str) -> Result<(), Finding> {
    let is_set = config.get(key).is_some_and(|value| !value.is_empty() && !value.eq_ignore_ascii_case("false"));
    let part = ["key", "value", "header"].into_iter().find(|part| config.writes_schemas(part));
    match part {
        Some(part) if is_set => {
            let reason = format!("it changes the schemas that records carry: {part}.converter writes them");
            Err(Finding::new(key, reason).with_remedy("remove the key, or turn schemas.enable of the converter off"))
        }
        _ => Ok(()),
    }
}
