use std::error::Error;
use std::fmt;
use std::io::Write as _;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tracing_subscriber::layer::Identity;

use super::command_outcome::{CommandOutcome, with_causes};
use super::logging::{self, LogFormat};

use super::servers::{Reading, Servers};
use crate::driver::{CheckStatus, Relay, ServerCheck};
use crate::settings::{ConfigurationCheck, Finding};

/// The arguments of a command that checks a connector's configuration, and the servers.
#[derive(Args)]
pub struct CheckArguments {
    /// The connector's configuration: a file, or http://HOST:8083/connectors/NAME to ask a running Kafka Connect
    ///
    /// A file is JSON, .properties of standalone Kafka Connect, or .yaml with a KafkaConnector of Strimzi.
    #[arg(value_name = "FILE|URL")]
    connector: String,

    #[command(flatten)]
    reading: Reading,

    /// Check PostgreSQL and Kafka as well, by the connector's database.* and --brokers
    ///
    /// It neither takes the slot nor writes a record.
    #[arg(long)]
    connect: bool,

    /// Check this topic, in addition to those of the rows in the outbox table
    #[arg(long = "topic", value_name = "TOPIC", requires = "connect")]
    topics: Vec<String>,

    #[command(flatten)]
    servers: Servers,
}

/// The form of the report of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum ReportForm {
    /// Lines for people.
    Text,
    /// One JSON document.
    Json,
}

/// Prints the findings about a configuration, and with `--connect` about its servers.
///
/// The result says whether the relay accepts the configuration, and could run at the servers.
pub async fn check(arguments: CheckArguments, form: ReportForm) -> CommandOutcome {
    logging::start(LogFormat::Text, None::<Identity>);
    arguments.run(form).await.unwrap_or_else(|error| {
        eprintln!("{}", with_causes(&*error));
        CommandOutcome::Unusable
    })
}

impl CheckArguments {
    async fn run(self, form: ReportForm) -> Result<CommandOutcome, Box<dyn Error>> {
        let check = self.reading.settings(&self.connector, &[]).await?.check();
        let servers = match self.connect && check.is_accepted() {
            true => Some(self.check_servers().await?),
            false => None,
        };
        let report = match form {
            ReportForm::Text => text(&check, servers.as_deref()),
            ReportForm::Json => format!("{:#}\n", json(&check, servers.as_deref())),
        };
        std::io::stdout().write_all(report.as_bytes())?;

        let has_failed = servers.iter().flatten().any(|check| check.status() == CheckStatus::Failed);
        Ok(if check.is_accepted() && !has_failed { CommandOutcome::Success } else { CommandOutcome::Failed })
    }

    async fn check_servers(&self) -> Result<Vec<ServerCheck>, Box<dyn Error>> {
        let settings = self.servers.settings(&self.reading, &self.connector).await?.build()?;
        let relay = Relay::new(settings)?;
        let relay = match self.servers.kafka_security()? {
            Some(security) => relay.kafka_security(security),
            None => relay,
        };
        Ok(relay.check(&self.topics).await)
    }
}

/// Command lines may hold secrets.
impl fmt::Debug for CheckArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckArguments").finish_non_exhaustive()
    }
}

fn text(check: &ConfigurationCheck, servers: Option<&[ServerCheck]>) -> String {
    let mut report = if check.is_accepted() { "accepted\n".to_owned() } else { "rejected\n".to_owned() };
    for (title, findings) in [("reasons", check.rejected()), ("warnings", check.warnings())] {
        if !findings.is_empty() {
            report.push_str(&format!("\n{title}:\n"));
            findings.iter().for_each(|finding| report.push_str(&format!("  {finding}\n")));
        }
    }

    if !check.outline().is_empty() {
        report.push_str("\nthe relay would use:\n");
        check.outline().iter().for_each(|(name, what)| report.push_str(&format!("  {name:<20} {what}\n")));
    }
    if let Some(servers) = servers {
        report.push_str("\nservers:\n");
        servers.iter().for_each(|check| report.push_str(&format!("  {check}\n")));
    }
    report
}

fn json(check: &ConfigurationCheck, servers: Option<&[ServerCheck]>) -> Value {
    let findings = |findings: &[Finding]| -> Vec<Value> {
        let all = findings.iter();
        all.map(|one| json!({"key": one.key(), "value": one.value(), "reason": one.reason(), "remedy": one.remedy()}))
            .collect()
    };
    let outline: serde_json::Map<_, _> =
        check.outline().iter().map(|(name, what)| (name.replace(' ', "_"), Value::from(what.as_str()))).collect();

    let server = |one: &ServerCheck| json!({"check": one.name(), "status": one.status().name(), "detail": one.detail(), "remedy": one.remedy()});
    json!({
        "accepted": check.is_accepted(),
        "rejected": findings(check.rejected()),
        "warnings": findings(check.warnings()),
        "outline": outline,
        "servers": servers.map(|servers| servers.iter().map(server).collect::<Vec<_>>()),
    })
}
