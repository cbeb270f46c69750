//! `outbox-relay`: reads an outbox's slot and writes its events to Kafka, in Debezium's place.

mod arguments;
mod check;
mod logging;
#[cfg_attr(not(feature = "otlp"), path = "no_otlp.rs")]
mod otlp;
mod servers;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser as _;
use outbox_relay::Relay;

use self::arguments::{Arguments, Command, CommandLine};
use self::otlp::Otlp;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let line = CommandLine::parse();
    let otlp = match Otlp::start() {
        Ok(otlp) => otlp,
        Err(error) => {
            eprintln!("traces and metrics cannot be exported: {}", with_causes(&*error));
            return ExitCode::FAILURE;
        }
    };
    logging::start(line.relay.log_format, otlp.as_ref().map(Otlp::spans));

    let code = match line.command {
        Some(Command::Check(check)) => check.run().await.unwrap_or_else(|error| {
            eprintln!("{}", with_causes(&*error));
            ExitCode::from(2)
        }),
        None => match run(line.relay, otlp.as_ref()).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!(target: "outbox.relay", "stopped: {}", with_causes(&*error));
                ExitCode::FAILURE
            }
        },
    };
    otlp.iter().for_each(Otlp::shut_down);
    code
}

/// Returns an error with its causes.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!("\n  because: {cause}"));
        source = cause.source();
    }
    text
}

async fn run(arguments: Arguments, otlp: Option<&Otlp>) -> Result<(), Box<dyn Error>> {
    let listen = arguments.listen;
    let security = arguments.servers.kafka_security()?;
    let settings = arguments.settings().await?;
    for warning in settings.warnings() {
        tracing::warn!(target: "outbox.relay", "connector configuration: {warning}");
    }
    let mut relay = Relay::new(settings)?;
    if let Some(security) = security {
        relay = relay.kafka_security(security);
    }
    if let Some(address) = listen {
        let served = relay.status().serve(address).await;
        let (address, _) = served.map_err(|e| format!("--listen: {address} cannot be listened on: {e}"))?;
        tracing::info!(target: "outbox.relay", %address, "serving /metrics, /ready and /live");
    }
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    let stop = async move {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    };
    let status = relay.status();
    let exported = async {
        match otlp {
            Some(otlp) => otlp.export_metrics(status).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = relay.run(stop) => Ok(ended?),
        () = exported => Ok(()),
    }
}
