//! A worker of Kafka Connect that lacks the plugins.

use std::process::{Child, Stdio};

use outbox_test_support::{TestEnv, eventually, stack};

use crate::doctor::findings;
use crate::fixture::{TempFile, run};

/// A worker without any plugin.
struct BareWorker {
    process: Child,
    url: String,
    _properties: TempFile,
}

impl BareWorker {
    async fn start(env: &TestEnv) -> Self {
        let port = xtask::stack::free_port().unwrap();
        let name = env.name();
        let plugins = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-plugins");
        std::fs::create_dir_all(&plugins).unwrap();

        let properties = format!(
            "bootstrap.servers={}\nlisteners=http://127.0.0.1:{port}\ngroup.id={name}\nplugin.path={}\n\
             plugin.discovery=service_load\nkey.converter=org.apache.kafka.connect.storage.StringConverter\n\
             value.converter=org.apache.kafka.connect.storage.StringConverter\n\
             config.storage.topic={name}-configs\nconfig.storage.replication.factor=1\n\
             offset.storage.topic={name}-offsets\noffset.storage.replication.factor=1\noffset.storage.partitions=1\n\
             status.storage.topic={name}-status\nstatus.storage.replication.factor=1\nstatus.storage.partitions=1\n",
            stack().kafka_bootstrap(),
            plugins.display()
        );
        let properties = TempFile::new(&format!("{name}-worker.properties"), &properties);
        let mut tool = stack().kafka_tool("org.apache.kafka.connect.cli.ConnectDistributed").unwrap();
        let process = tool.arg(properties.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let worker = Self { process, url: format!("http://127.0.0.1:{port}"), _properties: properties };
        eventually("the worker answers", async || {
            let ran = run(&["connector", "list", "--connect-url", &worker.url, "--timeout", "5"], &[]).await;
            if ran.code == 0 { Ok(()) } else { Err(ran) }
        })
        .await;
        worker
    }
}

impl Drop for BareWorker {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

#[tokio::test]
async fn a_worker_without_the_plugins_is_found() {
    let env = TestEnv::builder().slot().kafka().build().await;
    let worker = BareWorker::start(&env).await;
    let file = TempFile::config(&env, "-bare", env.config());
    let arguments = ["--connector", env.name(), "--connector-config", file.path(), "--connect-url", &worker.url];
    let (failed, _) = findings(&env, &arguments, 1).await;
    let text = "connector plugin: the worker does not have io.debezium.connector.postgresql.PostgresConnector, \
                io.debezium.transforms.outbox.EventRouter -> install the plugin of Debezium";
    assert!(failed.iter().any(|one| one.starts_with(text)), "{failed:#?}");
    assert!(failed.iter().any(|one| one.contains("does not exist -> outbox connector apply")), "{failed:#?}");
}
