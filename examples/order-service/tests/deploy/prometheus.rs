//! Rules and dashboard, by promtool and a real Prometheus.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};

use outbox_test_support::eventually;
use serde_json::{Value, json};
use xtask::stack::{free_port, workspace};

use crate::compose::list;
use crate::files::{parse, path, text, yaml};
use crate::fixture::blocking;
use crate::fixture::http::Http;
use crate::plain::{Plain, Process};

const DASHBOARD: &str = "grafana/dashboards/outbox.json";
const MISSING: &str = "is not installed: `apt-get install prometheus`, or else so that it is in PATH";

#[tokio::test]
async fn the_rules_fire_when_they_should_and_otherwise_do_not() {
    for arguments in [
        &["check", "config", "--syntax-only", "prometheus.yml"][..],
        &["check", "rules", "rules.yml"],
        &["test", "rules", "rules.test.yml"],
    ] {
        let mut promtool = Command::new("promtool");
        promtool.args(arguments).current_dir(path("prometheus"));
        let output = blocking(move || promtool.output().unwrap_or_else(|e| panic!("promtool {MISSING}: {e}"))).await;
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "promtool {arguments:?}: {stdout}{stderr}");
    }
}

#[test]
fn every_alert_has_a_test_a_severity_and_a_runbook_that_exists() {
    let document = fs::read_to_string(workspace().join("docs/operations.md")).unwrap();
    let tests = text("prometheus/rules.test.yml");
    for rule in rules() {
        let name = rule["alert"].as_str().unwrap();
        assert!(tests.contains(name), "no test of {name}");
        assert!(["warning", "critical"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
        let runbook = rule["annotations"]["runbook_url"].as_str().unwrap();
        let anchor = runbook.strip_prefix("docs/operations.md#").unwrap_or_else(|| panic!("{name}: {runbook}"));
        let headings = document.lines().filter_map(|line| line.strip_prefix('#'));
        let mut anchors = headings.map(|line| anchor_of(line.trim_start_matches('#')));
        assert!(anchors.any(|found| found == anchor), "{name}: no heading for {runbook}");
    }
}

/// Returns the anchor that GitHub gives a heading.
fn anchor_of(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[test]
fn the_dashboard_is_provisioned_and_its_panels_have_queries_and_descriptions() {
    let dashboard: Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    let source = yaml("grafana/provisioning/datasources/prometheus.yml")["datasources"][0].clone();
    assert_eq!((&source["uid"], &source["type"]), (&json!("prometheus"), &json!("prometheus")));
    assert_eq!(dashboard["templating"]["list"][0]["current"]["value"], source["uid"]);
    let provider = yaml("grafana/provisioning/dashboards/outbox.yml")["providers"][0].clone();
    assert_eq!(provider["options"]["path"], "/etc/grafana/dashboards");

    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "ids of panels are unique");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        let title = &panel["title"];
        assert!(panel["description"].as_str().is_some_and(|text| !text.is_empty()), "{title}");
        assert!(!panel["targets"].as_array().unwrap().is_empty(), "{title}");
        let grid = &panel["gridPos"];
        assert!(grid["x"].as_u64().unwrap() + grid["w"].as_u64().unwrap() <= 24, "{title}");
    }
}

fn rules() -> Vec<Value> {
    let groups = yaml("prometheus/rules.yml")["groups"].as_array().unwrap().clone();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

/// Returns the expression of an alert.
pub(crate) fn alert(name: &str) -> String {
    let rule = rules().into_iter().find(|rule| rule["alert"] == name).unwrap();
    rule["expr"].as_str().unwrap().to_owned()
}

/// Returns all queries of the rules and of the dashboard, with values in place of Grafana's variables.
pub(crate) fn queries() -> Vec<String> {
    let rules = rules().into_iter().map(|rule| rule["expr"].as_str().unwrap().to_owned());
    let dashboard: Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.filter_map(|panel| panel["targets"].as_array()).flatten();
    let panels: Vec<_> = targets
        .map(|target| target["expr"].as_str().unwrap().replace("$topic", ".*").replace("$__rate_interval", "1m"))
        .collect();
    rules.chain(panels).collect()
}

/// Returns the names of metrics in queries, without those of Prometheus itself.
pub(crate) fn metric_names(queries: &[String]) -> BTreeSet<String> {
    let words = queries.iter().flat_map(|query| query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
    let ours = ["outbox_", "kafka_connect_", "debezium_"];
    words.filter(|word| ours.iter().any(|prefix| word.starts_with(prefix))).map(str::to_owned).collect()
}

/// A Prometheus with the deployed configuration, which scrapes the processes of a test.
pub(crate) struct Prometheus {
    url: String,
    _process: Process,
}

impl Prometheus {
    pub(crate) async fn start(plain: &Plain) -> Self {
        let directory = plain.directory().join("prometheus");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("rules.yml"), text("prometheus/rules.yml")).unwrap();
        fs::write(directory.join("prometheus.yml"), configuration(plain)).unwrap();

        let address = format!("127.0.0.1:{}", free_port().unwrap());
        let services = plain.compose().services("relay");
        let deployed = list(services["prometheus"], "command").into_iter();
        let placed = deployed.map(|word| word.replace("=/etc/prometheus/", "=").replace("=/prometheus", "=data"));
        let mut command = Command::new("prometheus");
        command
            .args(placed)
            .arg(format!("--web.listen-address={address}"))
            .current_dir(directory)
            .stdin(Stdio::null())
            .stderr(Stdio::null());

        let process = Process(command.spawn().unwrap_or_else(|e| panic!("prometheus {MISSING}: {e}")));
        let prometheus = Self { url: format!("http://{address}"), _process: process };
        eventually("Prometheus has scraped the relay and the service", async || {
            let scraped = prometheus.query("sum(up)").await.map_err(|e| e.to_string())?;
            match scraped[0]["value"][1].as_str() {
                Some("2") => Ok(()),
                _ => Err(format!("{scraped}")),
            }
        })
        .await;
        prometheus
    }

    /// Returns the result of an instant query.
    pub(crate) async fn query(&self, expression: &str) -> Result<Value, String> {
        let form: Vec<u8> = format!("query={}", encoded(expression)).into_bytes();
        let answer = self.post("/api/v1/query", form).await?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"]["result"].clone()),
            _ => Err(format!("{expression}: {answer}")),
        }
    }

    /// Waits until an instant query finds something.
    pub(crate) async fn finds(&self, expression: &str) {
        eventually(format!("Prometheus finds {expression}"), async || {
            let found = self.query(expression).await?;
            if found == json!([]) { Err("nothing".to_owned()) } else { Ok(()) }
        })
        .await;
    }

    async fn post(&self, path: &str, form: Vec<u8>) -> Result<Value, String> {
        let request = ureq::http::Request::post(format!("{}{path}", self.url))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form)
            .unwrap();
        let answer = Http::new().try_send(request).await.map_err(|e| e.to_string())?;
        serde_json::from_str(&answer.text).map_err(|e| format!("{e}: {answer:?}"))
    }
}

/// Returns the deployed configuration, with the addresses of the test and without jobs that it does not run.
fn configuration(plain: &Plain) -> String {
    let mut config = parse("prometheus.yml", &plain.mapped(&text("prometheus/prometheus.yml")));
    config["global"] = json!({ "scrape_interval": "1s", "evaluation_interval": "1s" });
    let jobs = config["scrape_configs"].as_array_mut().unwrap();
    jobs.retain(|job| job["job_name"] != "kafka-connect");
    for job in jobs.iter_mut().filter_map(Value::as_object_mut) {
        if let Some(discovery) = job.remove("dns_sd_configs") {
            let name = format!("{}:{}", discovery[0]["names"][0].as_str().unwrap(), discovery[0]["port"]);
            job.insert("static_configs".to_owned(), json!([{ "targets": [plain.mapped(&name)] }]));
        }
    }
    config.to_string()
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).into() } else { format!("%{byte:02X}") })
        .collect()
}
