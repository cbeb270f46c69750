//! Topics.

use outbox_core::layout::ColumnType;

use crate::configuration::{With as _, layout};
use crate::fixture::{COLUMNS, DebeziumEnv, id};

#[test]
fn routes_by_expression() {
    let mut fixture = DebeziumEnv::new(layout("routed", ColumnType::Json, vec![]), &format!("{COLUMNS}, payload json"));
    // Each takes all of the names: topics of those that do not match would be shared.
    for (label, regex, replacement) in [
        ("whole", "(.*)", "{name}.$1"),
        ("lazy", "(.*?)(_v(\\d+))?", "{name}.$3-$1-"),
        ("named", "(?<kind>[a-zA-Z]+)(?<rest>.*)", "${kind}.{name}${rest}"),
        ("shorter", "a|ab|.*", "{name}.x"),
        ("digits", "(.)(.*)", "{name}.$10$2"),
        ("escaped", ".*", "{name}.a\\_b\\.c"),
        ("zero", ".*", "{name}.$0.$0"),
        ("insensitive", "(?i)[A-Z]+(.*)", "{name}.i$1"),
        ("optional", "(order)?(x)?.*", "{name}.o$2"),
        ("ahead", "(?!unseen)(?<kind>\\w+?)(?=_v|\\b).*", "{name}.${kind}"),
        ("possessive", "(\\p{Alpha}++)(.*+)", "{name}.p$1"),
        ("quoted", "(\\Qorder\\E)?([\\w.&&[^!]]*+)(?>-.*)?", "{name}.q$2"),
        ("again", "(?i)(\\p{Lower})(?:.*(\\1))?.*", "{name}.b$2"),
    ] {
        fixture.reader_named(label, |config, name| {
            config
                .option("route.topic.regex", regex)
                .option("route.topic.replacement", &replacement.replace("{name}", name))
        });
    }
    fixture.compare(&rows(["order", "order_v12", "ab", "Order.Sub-1_x", "a", "orderx", "order"]));
}

/// A name that does not match as a whole is the topic.
#[test]
fn names_that_match_no_expression() {
    let mut fixture =
        DebeziumEnv::new(layout("unrouted", ColumnType::Json, vec![]), &format!("{COLUMNS}, payload json"));
    let mut of_its_own = String::new();
    fixture.reader_named("unmatched", |config, name| {
        of_its_own = name.to_owned();
        config.option("route.topic.regex", "unmatched|ORDER").option("route.topic.replacement", "x")
    });
    let longer = format!("{of_its_own}.longer");
    fixture.compare(&rows([&*of_its_own, &longer, &of_its_own]));
}

fn rows<const N: usize>(names: [&str; N]) -> Vec<String> {
    let rows = names.iter().enumerate();
    rows.map(|(index, name)| format!("VALUES ('{}', '{name}', 'k', 'x', '{{}}')", id(index))).collect()
}
