//! The Helm chart and Strimzi's resources.
//!
//! rendered/ has what Helm makes of the chart. Helm is not needed to test that it is valid, and that it was made from
//! the present chart: its first line is a digest of the chart and the values. Where `helm` is in PATH, the chart is
//! rendered again and compared. `UPDATE_DEPLOY=1` with Helm writes the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::files::{parse, path, program, text, yaml};
use crate::schema::{assert_valid, assert_valid_by};

const CHART: &str = "helm/outbox-relay";
const CASES: [&str; 2] = ["minimal", "full"];

#[test]
fn the_chart_renders_to_valid_resources() {
    for case in CASES {
        let digest = digest(case);
        if let Some(rendered) = helm(case) {
            let rendered = format!("{digest}\n{rendered}");
            if std::env::var_os("UPDATE_DEPLOY").is_some() {
                fs::write(rendered_file(case, "yaml"), &rendered).unwrap();
            }
            assert_eq!(rendered, read(&rendered_file(case, "yaml")), "{case}: run again with UPDATE_DEPLOY=1");
        }

        let rendered = read(&rendered_file(case, "yaml"));
        assert_eq!(
            rendered.lines().next(),
            Some(&*digest),
            "{case}: the chart has changed; with `helm` in PATH, UPDATE_DEPLOY=1 cargo test -p order-service --test \
             deploy renders it again"
        );

        for document in documents(case, &rendered) {
            assert_valid("kubernetes.json", &format!("{case}: {}", document["kind"]), &document);
        }
    }
}

#[test]
fn the_values_fit_their_schema_and_incomplete_ones_do_not() {
    let schema: Value = serde_json::from_str(&text(&format!("{CHART}/values.schema.json"))).unwrap();
    let defaults = yaml(&format!("{CHART}/values.yaml"));
    assert!(!jsonschema::is_valid(&schema, &defaults), "a database and brokers must be given");
    for case in CASES {
        let given = parse(case, &read(&rendered_file(case, "values.yaml")));
        let mut values = defaults.clone();
        merge(&mut values, &given);
        assert_valid_by(&schema, case, &values);
        let known = defaults.as_object().unwrap();
        assert!(given.as_object().unwrap().keys().all(|key| known.contains_key(key)), "{case}");
    }
}

#[test]
fn two_pods_share_the_work_and_a_rolling_update_ends() {
    for case in CASES {
        let resources = rendered(case);
        let deployment = &resources["Deployment"]["spec"];
        assert_eq!(deployment["replicas"], 2);
        assert_eq!(deployment["strategy"]["rollingUpdate"], json!({ "maxSurge": 1, "maxUnavailable": 0 }));
        let pod = &deployment["template"]["spec"];
        let container = &pod["containers"][0];
        // With plain /ready, a standby would never be ready, and the update never end.
        assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/ready?standby=ok");
        assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/live");
        assert!(pod["terminationGracePeriodSeconds"].as_u64() > Some(10), "the relay drains for up to 10 s");
        assert_eq!(resources["PodDisruptionBudget"]["spec"]["minAvailable"], 1);

        let labels = deployment["template"]["metadata"]["labels"].as_object().unwrap();
        for selector in [
            &deployment["selector"]["matchLabels"],
            &resources["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
            &resources["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"],
            &resources["Service"]["spec"]["selector"],
        ] {
            let selector = selector.as_object().unwrap();
            assert!(selector.iter().all(|(key, value)| labels.get(key) == Some(value)), "{selector:?}");
        }
    }

    let resources = rendered("full");
    let monitor = &resources["ServiceMonitor"]["spec"];
    let labels = resources["Service"]["metadata"]["labels"].as_object().unwrap();
    let selector = monitor["selector"]["matchLabels"].as_object().unwrap();

    assert!(selector.iter().all(|(key, value)| labels.get(key) == Some(value)), "{selector:?}");
    assert_eq!(monitor["endpoints"][0]["port"], resources["Service"]["spec"]["ports"][0]["name"]);
}

#[test]
fn the_pods_have_no_privilege_and_no_secret_in_their_definition() {
    for case in CASES {
        let resources = rendered(case);
        let pod = &resources["Deployment"]["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
        assert_eq!(pod["automountServiceAccountToken"], false);
        let container = &pod["containers"][0];
        let security = &container["securityContext"];
        assert_eq!(
            (&security["readOnlyRootFilesystem"], &security["allowPrivilegeEscalation"]),
            (&json!(true), &json!(false))
        );
        assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));

        for variable in container["env"].as_array().unwrap() {
            let is_secret = ["OUTBOX_DB_USER", "OUTBOX_DB_PASSWORD"].contains(&variable["name"].as_str().unwrap());
            assert_eq!(variable["valueFrom"]["secretKeyRef"].is_object(), is_secret, "{variable}");
        }
    }
}

#[test]
fn the_relay_knows_the_arguments_of_the_pods() {
    for case in CASES {
        let container = rendered(case)["Deployment"]["spec"]["template"]["spec"]["containers"][0].clone();
        let words: Vec<_> = container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap()).collect();
        let (name, arguments) = words.split_first().unwrap();
        // An argument that it does not know is an error before the help is.
        let output = Command::new(program(name)).args(arguments).arg("--help").output().unwrap();
        assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn strimzis_resources_are_valid_and_say_what_the_files_of_the_connector_say() {
    let files = ["kafka-connect", "kafka-connector", "metrics", "topics", "users"];
    let files: BTreeMap<_, _> =
        files.into_iter().map(|file| (file, documents(file, &text(&format!("strimzi/{file}.yaml"))))).collect();
    for (file, documents) in &files {
        assert!(!documents.is_empty());
        documents.iter().for_each(|document| assert_valid("kubernetes.json", file, document));
    }

    let spec = &files["kafka-connector"][0]["spec"];
    let mut config = spec["config"].clone();
    config["connector.class"] = spec["class"].clone();
    config["tasks.max"] = Value::String(spec["tasksMax"].to_string());
    let deployed: Value = serde_json::from_str(&text("outbox-connector.json")).unwrap();
    assert_eq!(config, deployed);

    let connect = &files["kafka-connect"][0];
    let cluster = &files["kafka-connector"][0]["metadata"]["labels"]["strimzi.io/cluster"];
    assert_eq!(cluster, &connect["metadata"]["name"]);

    let variables = connect["spec"]["template"]["connectContainer"]["env"].as_array().unwrap();
    for value in deployed.as_object().unwrap().values() {
        if let Some(name) = value.as_str().and_then(|value| value.strip_prefix("${env:")?.strip_suffix('}')) {
            assert!(variables.iter().any(|variable| variable["name"] == name), "{name}");
        }
    }

    // Both readers write events and the configuration's heartbeats.
    let heartbeats = format!("__debezium-heartbeat.{}", deployed["topic.prefix"].as_str().unwrap());
    for reader in ["outbox-connect", "outbox-relay"] {
        let user = files["users"].iter().find(|user| user["metadata"]["name"] == reader).unwrap();
        let acls = user["spec"]["authorization"]["acls"].as_array().unwrap();
        for topic in ["outbox.events.", &heartbeats] {
            let acl = acls.iter().find(|acl| acl["resource"]["name"] == topic);
            let operations =
                acl.unwrap_or_else(|| panic!("{reader} may do nothing with {topic}"))["operations"].as_array();
            assert!(
                ["Describe", "Write"].iter().all(|needed| operations.unwrap().contains(&json!(needed))),
                "{reader}"
            );
        }
    }

    let metrics = &files["metrics"][0];
    assert_eq!(metrics["metadata"]["name"], connect["spec"]["metricsConfig"]["valueFrom"]["configMapKeyRef"]["name"]);
    assert_eq!(metrics["data"]["metrics.yaml"], text("prometheus/connect-jmx.yml"));
}

#[test]
fn the_resources_of_strimzi_that_the_program_outbox_generates_are_valid() {
    let output = Command::new(program("outbox")).args(["config", "generate", "strimzi"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let documents = documents("generated", &String::from_utf8(output.stdout).unwrap());
    assert_eq!(documents.len(), 2);
    documents.iter().for_each(|document| assert_valid("kubernetes.json", "generated", document));
}

/// Returns the resources that a case renders to, by kind.
fn rendered(case: &str) -> BTreeMap<String, Value> {
    let documents = documents(case, &read(&rendered_file(case, "yaml")));
    documents.into_iter().map(|document| (document["kind"].as_str().unwrap().to_owned(), document)).collect()
}

fn documents(name: &str, text: &str) -> Vec<Value> {
    let parts = text.split("---\n").filter(|part| part.lines().any(|line| !line.starts_with('#') && !line.is_empty()));
    parts.map(|part| parse(name, part)).collect()
}

/// Renders the chart by Helm, if it is installed.
fn helm(case: &str) -> Option<String> {
    let mut helm = Command::new("helm");
    helm.args(["template", "shop-relay"]).arg(path(CHART)).args(["--namespace", "shop", "--kube-version", "1.34.0"]);
    let output = helm.arg("--values").arg(rendered_file(case, "values.yaml")).output().ok()?;
    assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

/// Returns the first line of the rendered file: a digest of the chart and of the values.
fn digest(case: &str) -> String {
    let mut sources =
        vec![path(CHART).join("Chart.yaml"), path(CHART).join("values.yaml"), rendered_file(case, "values.yaml")];
    let templates = fs::read_dir(path(CHART).join("templates")).unwrap();
    sources.extend(templates.map(|entry| entry.unwrap().path()));
    sources.sort();
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for source in sources {
        context.update(source.file_name().unwrap().as_encoded_bytes());
        context.update(read(&source).as_bytes());
    }

    let digest = context.finish();
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("# chart and values: sha256 {hex}")
}

fn rendered_file(case: &str, ending: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/deploy/rendered").join(format!("{case}.{ending}"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn merge(values: &mut Value, given: &Value) {
    match (values, given) {
        (Value::Object(values), Value::Object(given)) => {
            given.iter().for_each(|(key, value)| merge(values.entry(key).or_insert(Value::Null), value));
        }
        (values, given) => *values = given.clone(),
    }
}
