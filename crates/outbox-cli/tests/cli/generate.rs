use std::collections::BTreeSet;

use outbox_core::ConnectorConfig;
use outbox_test_support::TestEnv;
use serde_json::Value;
use tokio::process::Command;

use crate::doctor::findings;
use crate::fixture::{TempFile, run, run_at};

/// Returns the documents of a YAML file.
fn documents(yaml: &str) -> Vec<Value> {
    yaml.split("\n---\n").map(|one| serde_saphyr::from_str(one).unwrap_or_else(|e| panic!("{e}: {one}"))).collect()
}

async fn psql(env: &TestEnv, script: &str) {
    let file = TempFile::new(&format!("{}.sql", env.name()), script);
    let ran = Command::new("psql")
        .args(["-X", "-q", "-f", file.path(), env.url()])
        .env("OUTBOX_DB_PASSWORD", "hunter2")
        .output()
        .await
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

#[tokio::test]
async fn the_script_sets_a_database_up_and_can_be_run_again() {
    let env = TestEnv::builder().database().build().await;
    let (connector, application) = (format!("{}_cdc", env.name()), format!("{}_app", env.name()));
    let options = ["--slot", env.name(), "--connector-role", &connector, "--application-role", &application];
    let script = run(&[&["config", "generate", "sql"], &options[..]].concat(), &[]).await;
    psql(&env, script.text(0)).await;
    psql(&env, script.text(0)).await;

    run_at(&env, &["migrate", "plan"]).await.text(0);
    let config = env.config().clone().with("database.user", &connector);
    let file = TempFile::config(&env, "-generated", &config);
    let (failed, _) = findings(&env, &["--connector-config", file.path(), "--application-role", &application], 0).await;
    assert_eq!(failed, [""; 0]);
}

#[tokio::test]
async fn the_script_of_a_partitioned_table_has_its_maintenance() {
    let env = TestEnv::builder().database().build().await;
    let life = ["--row-life", "partitioned"];
    let generate = ["config", "generate", "sql", "--slot", env.name()];
    let script = run(&[&generate[..], &life[..]].concat(), &[]).await;
    psql(&env, script.text(0)).await;
    run_at(&env, &[&["migrate", "plan"], &life[..]].concat()).await.text(0);
    run_at(&env, &[&["migrate", "plan", "--maintenance"], &life[..]].concat()).await.text(0);
}

#[tokio::test]
async fn the_script_of_an_outbox_without_a_table_can_be_run_again() {
    let env = TestEnv::builder().database().build().await;
    let life = ["--row-life", "message"];
    let script = run(&[&["config", "generate", "sql", "--slot", env.name()], &life[..]].concat(), &[]).await;
    psql(&env, script.text(0)).await;
    psql(&env, script.text(0)).await;
    run_at(&env, &[&["migrate", "plan"], &life[..]].concat()).await.text(0);
}

#[tokio::test]
async fn the_compose_file_sets_up_everything_from_the_model() {
    let generate = ["config", "generate", "compose", "--slot", "shop_events", "--table", "shop.events"];
    let composed = run(&generate, &[]).await;
    // Debezium's image is the only one without a digest, until one is given.
    assert_eq!(composed.text(0).matches("image: \"quay.io/debezium/connect:3.7.0.Final\"").count(), 2);
    let pinned = ["--connect-image", "registry.test/debezium/connect:7@sha256:00"];
    let composed = run(&[&generate[..], &pinned[..]].concat(), &[]).await;
    let [file] = &documents(composed.text(0))[..] else { panic!("{composed:?}") };
    let services = file["services"].as_object().unwrap();
    let names: BTreeSet<_> = services.keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["postgres", "kafka", "setup", "connect", "connector"]));

    for (name, service) in services {
        let image = service["image"].as_str().unwrap();
        assert!(image.contains("@sha256:"), "{name} has no digest");
        let tag = image.split('@').next().unwrap().rsplit_once(':').unwrap().1;
        assert!(tag.starts_with(|c: char| c.is_ascii_digit()), "{name} has no pinned tag");
        let ports = service["ports"].as_array().into_iter().flatten();
        ports.for_each(|port| assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "{port}"));
        for needed in service["depends_on"].as_object().into_iter().flat_map(serde_json::Map::keys) {
            assert!(services.contains_key(needed), "{name} needs {needed}");
        }

        for config in service["configs"].as_array().into_iter().flatten() {
            assert!(file["configs"].get(config["source"].as_str().unwrap()).is_some(), "{config}");
        }
    }

    // Compose replaces $$ by $, and takes a single one for a variable.
    let content = |name: &str| {
        let text = file["configs"][name]["content"].as_str().unwrap();
        assert!(!text.replace("$$", "").contains('$'), "{text}");
        text.replace("$$", "$")
    };
    let config = ConnectorConfig::from_json(&content("connector")).unwrap();
    assert_eq!((config.get("slot.name"), config.get("table.include.list")), (Some("shop_events"), Some("shop.events")));
    let variables = services["connect"]["environment"].as_object().unwrap();
    let placeholders = config.iter().filter_map(|(_, value)| value.strip_prefix("${env:")?.strip_suffix('}'));
    let placeholders: Vec<_> = placeholders.collect();
    assert_eq!(placeholders.len(), 5);
    placeholders.iter().for_each(|name| assert!(variables.contains_key(*name), "{name}"));
    let options = ["--slot", "shop_events", "--table", "shop.events", "--connector-role", "outbox_connector"];
    let script = run(&[&["config", "generate", "sql"], &options[..]].concat(), &[]).await;
    assert_eq!(content("setup"), script.text(0));
    assert_eq!(variables["OUTBOX_DB_PASSWORD"], services["setup"]["environment"]["OUTBOX_DB_PASSWORD"]);
    let register = services["connector"]["entrypoint"][2].as_str().unwrap();
    assert!(register.contains("http://connect:8083/connectors/shop_events/config"), "{register}");
}

#[tokio::test]
async fn the_manifests_of_strimzi_have_the_connectors_configuration() {
    let generate = ["config", "generate", "strimzi", "--slot", "shop_events", "--image", "registry.test/connect:7"];
    let printed = run(&generate, &[]).await;
    let [connect, connector] = &documents(printed.text(0))[..] else { panic!("{printed:?}") };
    for (document, kind) in [(connect, "KafkaConnect"), (connector, "KafkaConnector")] {
        assert_eq!((&document["apiVersion"], &document["kind"]), (&"kafka.strimzi.io/v1".into(), &kind.into()));
    }
    assert_eq!(connect["spec"]["build"]["output"]["image"], "registry.test/connect:7");
    assert_eq!(connector["metadata"]["labels"]["strimzi.io/cluster"], connect["metadata"]["name"]);
    assert_eq!(connect["metadata"]["annotations"]["strimzi.io/use-connector-resources"], "true");

    let generated = run(&["config", "generate", "connector", "--slot", "shop_events"], &[]).await;
    let config: Value = serde_json::from_str(generated.text(0)).unwrap();
    for (key, value) in config.as_object().unwrap() {
        match key.as_str() {
            "connector.class" => assert_eq!(&connector["spec"]["class"], value),
            "tasks.max" => assert_eq!(connector["spec"]["tasksMax"], 1),
            _ => assert_eq!(&connector["spec"]["config"][key], value, "{key}"),
        }
    }
    let variables = connect["spec"]["template"]["connectContainer"]["env"].as_array().unwrap();
    let names: Vec<_> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    let expected = ["OUTBOX_DB_HOST", "OUTBOX_DB_PORT", "OUTBOX_DB_NAME", "OUTBOX_DB_USER", "OUTBOX_DB_PASSWORD"];
    assert_eq!(names, expected);
    assert!(variables.iter().all(|one| one["valueFrom"]["secretKeyRef"]["name"] == "outbox-database"), "{variables:?}");
}
