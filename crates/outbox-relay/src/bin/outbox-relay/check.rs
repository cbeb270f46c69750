use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use outbox_relay::{ConfigurationCheck, Finding};
use serde_json::{Value, json};

use crate::arguments::Reading;

/// The arguments of `outbox-relay check`.
#[derive(Args)]
pub(crate) struct Check {
    /// The connector's configuration: a file, or http://HOST:8083/connectors/NAME to ask a running Kafka Connect
    #[arg(value_name = "FILE|URL")]
    connector: String,

    #[command(flatten)]
    reading: Reading,

    /// The form of the report
    #[arg(long, value_enum, value_name = "FORM", default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

impl Check {
    /// Prints the report. The exit code says whether the relay accepts the configuration.
    pub(crate) async fn run(self) -> Result<ExitCode, Box<dyn Error>> {
        let check = self.reading.settings(&self.connector, &[]).await?.check();
        let report = match self.output {
            Output::Text => text(&check),
            Output::Json => format!("{:#}\n", json(&check)),
        };
        std::io::stdout().write_all(report.as_bytes())?;
        Ok(if check.is_accepted() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn text(check: &ConfigurationCheck) -> String {
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
    report
}

fn json(check: &ConfigurationCheck) -> Value {
    let findings = |findings: &[Finding]| -> Vec<Value> {
        let all = findings.iter();
        all.map(|one| json!({"key": one.key(), "value": one.value(), "reason": one.reason(), "remedy": one.remedy()}))
            .collect()
    };
    let outline: serde_json::Map<_, _> =
        check.outline().iter().map(|(name, what)| (name.replace(' ', "_"), Value::from(what.as_str()))).collect();
    json!({
        "accepted": check.is_accepted(),
        "rejected": findings(check.rejected()),
        "warnings": findings(check.warnings()),
        "outline": outline,
    })
}
