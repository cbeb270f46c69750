//! Combinations of keys, and lists, that Debezium and Kafka Connect reject.

use super::Finding;
use super::finding::Findings;
use super::resolved::Resolved;

pub(super) fn check(config: &Resolved, findings: &mut Findings) {
    for what in ["table", "schema", "column", "message.prefix"] {
        findings.take(lists_exclude_each_other(config, what));
    }
    for (key, name) in [
        ("snapshot.mode", "snapshot.mode.custom.name"),
        ("snapshot.query.mode", "snapshot.query.mode.custom.name"),
        ("snapshot.locking.mode", "snapshot.locking.mode.custom.name"),
    ] {
        findings.take(custom_mode_has_a_name(config, key, name));
    }

    findings.take(queue_holds_a_batch(config));
    findings.take(operations_are_known(config));
    findings.take(key_columns_have_tables(config));
    findings.take(predicates_have_types(config));
    findings.take(config.list_names("snapshot.include.collection.list", "").map(drop));
}

fn lists_exclude_each_other(config: &Resolved, what: &str) -> Result<(), Finding> {
    let (included, excluded) = (format!("{what}.include.list"), format!("{what}.exclude.list"));
    let has = |key: &str| config.get(key).is_some_and(|list| !list.is_empty());
    if has(&included) && has(&excluded) {
        let reason = format!("Debezium rejects a configuration that has {included} as well");
        return Err(Finding::new(excluded, reason).with_remedy("remove one of the two"));
    }
    Ok(())
}

fn custom_mode_has_a_name(config: &Resolved, key: &str, name: &str) -> Result<(), Finding> {
    let is_custom = config.get(key).is_some_and(|mode| mode.eq_ignore_ascii_case("custom"));
    if is_custom && config.get(name).is_none_or(str::is_empty) {
        return Err(Finding::new(name, format!("Debezium rejects {key}=custom without it")).with_remedy("set it"));
    }
    Ok(())
}

/// Checks that Debezium's queue is larger than its batches. Debezium rejects other configurations.
fn queue_holds_a_batch(config: &Resolved) -> Result<(), Finding> {
    let number = |key: &str, default: i64| config.get(key).map_or(Ok(default), str::parse).unwrap_or_default();
    // Values that are no numbers are rejected by their rules.
    match (number("max.queue.size", 8192), number("max.batch.size", 2048)) {
        (queue, batch) if queue > 0 && batch > 0 && queue <= batch => {
            Err(Finding::new("max.queue.size", "Debezium rejects a queue that is not larger than max.batch.size"))
        }
        _ => Ok(()),
    }
}

fn operations_are_known(config: &Resolved) -> Result<(), Finding> {
    let key = "skipped.operations";
    let is_known = |item: &str| ["c", "u", "d", "t", "none"].contains(&item.trim());
    match config.get(key) {
        Some(list) if !list.is_empty() && !list.split(',').all(is_known) => {
            Err(Finding::new(key, "Debezium rejects this value: its items are c, u, d and t, or it is none"))
        }
        _ => Ok(()),
    }
}

/// Checks `message.key.columns`, such as `inventory.customers:pk1,pk2;(.*).orders:pk3`. The router replaces these keys.
fn key_columns_have_tables(config: &Resolved) -> Result<(), Finding> {
    let key = "message.key.columns";
    let is_item = |item: &str| {
        item.split_once(':').is_some_and(|(table, columns)| {
            let are_names = !columns.contains(':') && columns.split(',').all(|column| !column.is_empty());
            !table.is_empty() && are_names
        })
    };
    match config.get(key) {
        Some(list) if !list.trim_end_matches(';').split(';').all(is_item) => Err(Finding::new(
            key,
            "Debezium rejects this value: its items are TABLE:COLUMN,COLUMN, separated by semicolons",
        )),
        _ => Ok(()),
    }
}

fn predicates_have_types(config: &Resolved) -> Result<(), Finding> {
    let listed = config.get("predicates").unwrap_or_default().split(',').map(str::trim);
    let mut keys = listed.filter(|name| !name.is_empty()).map(|name| format!("predicates.{name}.type"));
    if keys.any(|key| config.get(&key).is_none_or(str::is_empty)) {
        let reason = "Kafka Connect rejects a predicate without a type";
        return Err(Finding::new("predicates", reason).with_remedy("set predicates.NAME.type for each of them"));
    }
    Ok(())
}
