//! Values of columns: texts, JSON documents, instants.

use outbox_core::event::JsonText;
use outbox_core::time::{Duration, OffsetDateTime};
use proptest::prelude::*;

/// Returns any text that PostgreSQL stores: all of Unicode but NUL.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let c = prop_oneof![
        4 => any::<char>(),
        2 => proptest::char::range('\u{1}', '\u{1f}'),
        2 => proptest::char::range('\u{10000}', '\u{10ffff}'),
        2 => prop::sample::select(vec!['"', '\\', '/', ' ', ',', ':', '\u{7f}', '\u{2028}', '\u{feff}']),
    ];
    prop_oneof![
        1 => Just(String::new()),
        1 => Just(" \t\n".to_owned()),
        1 => "[ -~]{1,12}",
        6 => prop::collection::vec(c, 0..24)
            .prop_map(|chars| chars.into_iter().filter(|c| *c != '\0').collect::<String>()),
    ]
}

/// Returns text as ids and names have it: not empty, without control characters.
pub(crate) fn name() -> impl Strategy<Value = String> {
    text().prop_map(|text| {
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        if text.is_empty() { "x".into() } else { text }
    })
}

/// Returns text that is legal in the name of a topic.
pub(crate) fn topic_part() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_.-]{1,30}"
}

pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Returns one JSON value that an event may have.
pub(crate) fn readable_json() -> impl Strategy<Value = String> {
    json().prop_filter("consumers cannot read it", |json| JsonText::new(json.as_str()).is_ok())
}

fn json_string() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => text().prop_map(|text| quoted(&text)),
        1 => prop::sample::select(vec![r#""\u0000""#, r#""\ud83d\ude00 \/""#, r#""\ud800""#]).prop_map(str::to_owned),
    ]
}

fn json_scalar() -> impl Strategy<Value = String> {
    let special = ["1e400", "-1e-400", "12345678901234567890", "9007199254740993", "1.0", "-0", "0.10", "2147483648"];
    prop_oneof![
        1 => prop::sample::select(vec!["null", "true", "false"]).prop_map(str::to_owned),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<f64>().prop_filter("JSON has finite numbers", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        1 => prop::sample::select(special.to_vec()).prop_map(str::to_owned),
        2 => json_string(),
    ]
}

/// Returns one JSON value as somebody may write it: with nested nulls, empty containers, big numbers, keys twice,
/// spaces.
pub(crate) fn json() -> impl Strategy<Value = String> {
    let nested = json_scalar().prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|elements| format!("[{}]", elements.join(", "))),
            prop::collection::vec((json_string(), inner), 0..4).prop_map(|members| {
                let members: Vec<_> = members.into_iter().map(|(key, value)| format!("{key} :{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    });
    prop_oneof![4 => nested.clone(), 1 => nested.prop_map(|json| format!(" {json}\n"))]
}

/// Documents that an expansion keeps in substance: every array is of one type, numbers are small.
pub(crate) fn plain_document() -> impl Strategy<Value = String> {
    let key = || "[a-zé.]{1,3}";
    let string = || text().prop_map(|text| quoted(&text));
    let double = || any::<i16>().prop_map(|n| format!("{:?}", f64::from(n) / 8.0));
    let scalar = prop_oneof![
        string(),
        any::<i64>().prop_map(|n| n.to_string()),
        double(),
        prop::sample::select(vec!["null", "true", "false", "[]", "{}"]).prop_map(str::to_owned),
    ];

    let list = prop_oneof![
        prop::collection::vec(string(), 1..4),
        prop::collection::vec(any::<i32>().prop_map(|n| n.to_string()), 1..4),
        prop::collection::vec(double(), 1..4),
        // Objects of one shape, and of shapes that are merged.
        prop::collection::vec(any::<bool>().prop_map(|b| format!("{{\"b\":{b}}}")), 1..4),
        prop::collection::vec(prop::sample::select(vec!["{\"x\":1}", "{\"y\":\"s\"}"]).prop_map(str::to_owned), 1..4),
    ]
    .prop_map(|elements| format!("[{}]", elements.join(",")));

    let object = move |value: BoxedStrategy<String>| {
        prop::collection::btree_map(key(), value, 0..5).prop_map(|members| {
            let members: Vec<_> =
                members.into_iter().map(|(key, value)| format!("{}: {value}", quoted(&key))).collect();
            format!("{{{}}}", members.join(", "))
        })
    };
    let value = prop_oneof![3 => scalar, 1 => list].boxed();
    object(prop_oneof![3 => value.clone(), 1 => object(value)].boxed())
}

/// Returns the JSON object that the column of an event's headers holds.
pub(crate) fn headers_json() -> impl Strategy<Value = String> {
    prop::collection::btree_map(text(), text(), 0..4).prop_map(|headers| serde_json::to_string(&headers).unwrap())
}

pub(crate) fn traceparent() -> impl Strategy<Value = String> {
    "0[0-9a-e]-[1-9a-f][0-9a-f]{31}-[0-9a-f]{15}[1-9a-f]-[0-9a-f]{2}"
}

/// Returns instants from 1970 to now, in whole microseconds.
pub(crate) fn past() -> impl Strategy<Value = OffsetDateTime> {
    let now = i64::try_from(OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000).unwrap();
    (0..=now).prop_map(|micros| OffsetDateTime::UNIX_EPOCH + Duration::microseconds(micros))
}

/// Returns instants from 1970 to 9999, in whole microseconds.
pub(crate) fn instant() -> impl Strategy<Value = OffsetDateTime> {
    prop_oneof![1 => Just(0), 1 => Just(253_402_300_799_999_999), 8 => 0..=253_402_300_799_999_999_i64]
        .prop_map(|micros| OffsetDateTime::UNIX_EPOCH + Duration::microseconds(micros))
}
