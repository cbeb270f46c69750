//! Random documents, as far as an expansion of them does not depend on Java's hash codes.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

/// Returns this number of documents, the same ones in each run.
pub(crate) fn documents(count: usize) -> Vec<String> {
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (0..count).map(|_| object(document()).new_tree(&mut runner).unwrap().current().to_string()).collect()
}

fn document() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 24, 4, |inner| {
        let alike =
            inner.clone().prop_flat_map(|value| (1..4_usize).prop_map(move |n| Value::from(vec![value.clone(); n])));
        prop_oneof![3 => object(inner), 2 => array(scalar()), 1 => array(array(scalar())), 2 => alike]
    })
}

fn object(member: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::vec(("[a-c.é ]{0,2}|[a-z]{3}", member), 0..5).prop_map(|members| members.into_iter().collect())
}

fn array(element: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::vec(element, 0..4).prop_map(Value::from)
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => any::<i32>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        2 => (-1_000_000..1_000_000_i32).prop_map(|number| json!(f64::from(number) / 64.0)),
        2 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
        3 => "[^\\x00]{0,6}".prop_map(Value::from),
    ]
}
