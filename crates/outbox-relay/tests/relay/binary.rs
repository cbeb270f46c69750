use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tokio::time::{Instant, timeout};

use crate::fixture::RelayEnv;
use crate::health::get;
use crate::program::Program;

#[tokio::test]
async fn the_program_serves_its_health_and_drains_on_sigterm() {
    let fixture = RelayEnv::new(1).await;
    let config = fixture.config.clone().with("database.password", "${env:OUTBOX_TEST_PASSWORD}").to_json();
    let file = std::env::temp_dir().join(format!("{}.json", fixture.name()));
    std::fs::write(&file, config).unwrap();

    let address = SocketAddr::from(([127, 0, 0, 1], xtask::stack::free_port().unwrap()));
    let mut program = Command::new(env!("CARGO_BIN_EXE_outbox-relay"))
        .arg("--connector")
        .arg(&file)
        .args(["--brokers", &fixture.brokers, "--listen", &address.to_string()])
        .env("OUTBOX_TEST_PASSWORD", "postgres")
        .env("RUST_LOG", "debug")
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(120);
    while tokio::net::TcpStream::connect(address).await.is_err() || get(address, "/ready").await.1 != "ready\n" {
        assert!(Instant::now() < deadline && program.try_wait().unwrap().is_none(), "it does not become ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    std::fs::remove_file(file).unwrap();
    fixture.enqueue_each(3, 0..30).await;
    fixture.check(&fixture.records(30).await, 30);
    assert_eq!(get(address, "/live").await.1, "live\n");

    let events = format!("outbox_relay_events_total{{topic=\"{}\"}} 30\n", fixture.topic);
    while !get(address, "/metrics").await.1.contains(&events) {
        assert!(Instant::now() < deadline, "not all is acknowledged");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    let pid = program.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    let ended = timeout(Duration::from_secs(120), program.wait()).await.unwrap().unwrap();
    let mut said = String::new();
    program.stderr.take().unwrap().read_to_string(&mut said).await.unwrap();
    assert!(ended.success(), "{said}");
    assert!(said.contains("session{slot="), "{said}");
    assert!(said.contains("base_offset="), "{said}");
}

#[tokio::test]
async fn the_log_is_json_if_the_option_says_so() {
    let fixture = RelayEnv::new(1).await;
    let program = Program::start_with(&fixture, &["--log-format", "json"]);
    fixture.enqueue_each(1, 0..1).await;
    fixture.records(1).await;
    let log = program.log();
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let holding = lines.iter().find(|line| line["fields"]["message"] == "replication slot acquired").unwrap();
    assert_eq!(holding["fields"]["slot"], fixture.name(), "{log}");
    assert_eq!(holding["level"], "INFO");
    assert!(program.stop().await.success());
}
