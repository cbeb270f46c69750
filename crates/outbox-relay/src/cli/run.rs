use std::error::Error;
use std::net::SocketAddr;

use super::arguments::RunArguments;
use super::command_outcome::{CommandOutcome, with_causes};
use super::logging;
use super::otlp::Otlp;
use crate::driver::Relay;

/// Runs a relay until SIGTERM or SIGINT drains it, and logs to standard error.
pub async fn run(arguments: RunArguments) -> CommandOutcome {
    let otlp = match Otlp::start() {
        Ok(otlp) => otlp,
        Err(error) => {
            eprintln!("traces and metrics cannot be exported: {}", with_causes(&*error));
            return CommandOutcome::Failed;
        }
    };
    logging::start(arguments.log_format, otlp.as_ref().map(Otlp::spans));

    let listen = arguments.listen;
    let ran = match relay(arguments).await {
        Ok(relay) => {
            run_until_signal(relay, listen, otlp.as_ref()).await.map_err(|error| (CommandOutcome::Failed, error))
        }
        Err(error) => Err((CommandOutcome::Unusable, error)),
    };

    let ended = match ran {
        Ok(()) => CommandOutcome::Success,
        Err((ended, error)) => {
            tracing::error!(target: "outbox.relay", "relay stopped: {}", with_causes(&*error));
            ended
        }
    };
    otlp.iter().for_each(Otlp::shut_down);
    ended
}

/// Returns the relay that the arguments describe.
async fn relay(arguments: RunArguments) -> Result<Relay, Box<dyn Error>> {
    let security = arguments.servers.kafka_security()?;
    let settings = arguments.settings().await?;
    for warning in settings.warnings() {
        tracing::warn!(target: "outbox.relay", "connector configuration: {warning}");
    }
    let relay = Relay::new(settings)?;
    Ok(match security {
        Some(security) => relay.kafka_security(security),
        None => relay,
    })
}

/// Runs the relay until SIGTERM or SIGINT. It serves the status and exports metrics meanwhile, if that was configured.
async fn run_until_signal(relay: Relay, listen: Option<SocketAddr>, otlp: Option<&Otlp>) -> Result<(), Box<dyn Error>> {
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
