//! Validation by the schemas in schemas/.

use std::path::Path;

use serde_json::Value;

/// Asserts that a document fits one of the schemas.
pub(crate) fn assert_valid(schema: &str, name: &str, document: &Value) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/schemas").join(schema);
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    assert_valid_by(&schema, name, document);
}

/// Asserts that a document fits a schema.
pub(crate) fn assert_valid_by(schema: &Value, name: &str, document: &Value) {
    let validator = jsonschema::validator_for(schema).unwrap();
    let errors: Vec<_> =
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{name}: {errors:#?}");
}
