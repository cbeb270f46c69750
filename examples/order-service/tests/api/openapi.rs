use std::collections::BTreeSet;

use serde_json::Value;

use crate::fixture::{Answer, Service, set_up};

/// Answers of the service have the statuses, content types and members that the document names.
#[tokio::test]
async fn the_document_describes_the_answers() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    let answer = service.get("/openapi.json").await;
    assert_eq!(answer.header("content-type"), "application/json");
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");

    let created = service.post("/orders", r#"{"customer_id":1,"product_id":101,"quantity":2}"#).await;
    assert_described(&document, "/orders", "post", &created);
    let refused = service.post("/orders", "{}").await;
    assert_described(&document, "/orders", "post", &refused);
    assert_described(&document, "/orders", "post", &service.send("POST", "/orders", &[], "{}").await);
    for (path, asked) in [
        ("/orders", "/orders"),
        ("/orders", "/orders?limit=0"),
        ("/orders/{id}", created.header("location")),
        ("/orders/{id}", "/orders/x"),
        ("/orders/{id}", "/orders/9223372036854775807"),
    ] {
        assert_described(&document, path, "get", &service.get(asked).await);
    }
    for path in document["paths"].as_object().unwrap().keys().filter(|path| !path.contains('{')) {
        assert_described(&document, path, "get", &service.get(path).await);
    }
}

fn assert_described(document: &Value, path: &str, method: &str, answer: &Answer) {
    let response = &document["paths"][path][method]["responses"][answer.status.to_string()];
    let response = resolved(document, response);
    let content_type = answer.header("content-type");
    let contents = response["content"].as_object().unwrap_or_else(|| panic!("{method} {path}: {answer:?}"));
    let (described, content) = contents.iter().next().unwrap();
    assert!(content_type.starts_with(described), "{method} {path}: {answer:?}");
    if described != "application/openmetrics-text" {
        assert_members(document, &content["schema"], &answer.json(), &format!("{method} {path}"));
    }
}

fn assert_members(document: &Value, schema: &Value, found: &Value, place: &str) {
    let schema = resolved(document, schema);
    if let (Some(properties), Some(found)) = (schema["properties"].as_object(), found.as_object()) {
        let names: BTreeSet<_> = found.keys().collect();
        assert_eq!(names, properties.keys().collect(), "{place}");
        let required = schema["required"].as_array().unwrap();
        assert!(required.iter().all(|name| found.contains_key(name.as_str().unwrap())), "{place}");
        for (name, schema) in properties {
            assert_members(document, schema, &found[name], &format!("{place} {name}"));
        }
    }
    for item in found.as_array().into_iter().flatten() {
        assert_members(document, &schema["items"], item, place);
    }
}

fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(pointer) => document.pointer(pointer.trim_start_matches('#')).unwrap_or_else(|| panic!("{pointer}")),
        None => value,
    }
}
