//! A worker of Kafka Connect by the files of its image, and its metrics.

use outbox_test_support::{TestEnv, eventually, stack};
use xtask::stack::{free_port, jmx_exporter};

use crate::files::{path, text};
use crate::fixture::blocking;
use crate::fixture::http::Http;
use crate::prometheus::{metric_names, queries};

#[tokio::test]
async fn the_worker_of_the_image_exports_the_metrics_of_rules_and_dashboard() {
    let env = TestEnv::builder().slot().topic(1).build().await;
    let (port, group) = (free_port().unwrap(), env.topic_of("connect"));
    let agent = move || format!("{}=127.0.0.1:{port}:{}", jmx_exporter().unwrap().display(), rules());
    let connect =
        blocking(move || stack().own_connect_of(&text("connect/worker.properties"), &group, &agent()).unwrap()).await;
    let (rest, name, config) = (connect.rest(), env.name().to_owned(), env.config().to_json());
    blocking(move || rest.put_config(&name, &serde_json::from_str(&config).unwrap()).unwrap()).await;

    let wanted = metric_names(&queries());
    let wanted: Vec<_> = wanted.iter().filter(|name| !name.starts_with("outbox_")).collect();
    assert!(wanted.len() > 1, "{wanted:?}");
    eventually("the agent shows all metrics", async || {
        let request = ureq::http::Request::get(format!("http://127.0.0.1:{port}/metrics")).body(Vec::new()).unwrap();
        let text = Http::new().try_send(request).await.map_err(|e| e.to_string())?.text;
        let is_shown = |name: &str| text.lines().any(|line| line.starts_with(&format!("{name}{{")));
        let missing: Vec<_> = wanted.iter().filter(|name| !is_shown(name)).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} of {text}")) }
    })
    .await;
}

fn rules() -> String {
    path("prometheus/connect-jmx.yml").display().to_string()
}
