use std::fs;
use std::thread::available_parallelism;

use serde::Serialize;
use serde_json::Value;
use tokio::task::block_in_place;
use tokio_postgres::NoTls;
use xtask::stack::Stack;

use crate::Outcome;

/// The conditions that figures depend on and do not show.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cores: Option<usize>,
    pub(crate) processor: Option<String>,
    pub(crate) postgres: String,
    /// The worker's version, which is the broker's too: they are started from the same archives.
    pub(crate) kafka: Option<String>,
    pub(crate) debezium: Option<String>,
}

impl Machine {
    pub(crate) async fn of(stack: &Stack) -> Outcome<Self> {
        let (client, connection) = tokio_postgres::connect(&stack.postgres_url(), NoTls).await?;
        tokio::spawn(connection);
        let rest = stack.connect_rest();
        let (worker, plugins) =
            block_in_place(|| Ok::<_, crate::Failure>((rest.get("/")?, rest.get("/connector-plugins")?)))?;
        let version = |value: &Value| value.get("version").and_then(Value::as_str).map(str::to_owned);
        let is_debezium = |plugin: &&Value| {
            plugin.get("class").and_then(Value::as_str) == Some("io.debezium.connector.postgresql.PostgresConnector")
        };

        Ok(Self {
            cores: available_parallelism().ok().map(usize::from),
            processor: processor(),
            postgres: client.query_one("SHOW server_version", &[]).await?.try_get(0)?,
            kafka: version(&worker),
            debezium: plugins.as_array().and_then(|plugins| version(plugins.iter().find(is_debezium)?)),
        })
    }
}

fn processor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
