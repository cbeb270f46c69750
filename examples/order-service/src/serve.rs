use std::error::Error;
use std::future::IntoFuture as _;
use std::time::Duration;

use deadpool_postgres::Pool;
use outbox_core::Pipeline;
use outbox_kafka_consumer::Consumer;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::{AppState, app};
use crate::received::record;
use crate::settings::Settings;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// How long requests and handlers that run at shutdown may continue. The consumer gives its handlers as long.
const DRAIN: Duration = Duration::from_secs(10);

/// Runs the parts that the mode names, until the token is cancelled.
///
/// # Errors
/// A part could not start, failed or panicked: a service without one of its parts would only look healthy.
pub async fn serve(settings: &Settings, pipeline: Pipeline, pool: Pool, stop: CancellationToken) -> Outcome {
    let mut parts = JoinSet::new();
    if settings.mode.consumes() {
        let consumer = Consumer::builder(settings.brokers())
            .security(settings.kafka_security()?)
            .pipeline(pipeline.clone())
            .group(&settings.group)
            .store(pool.clone())
            .schema(pipeline.layout().schema().clone())
            .on(record)
            .build()?;
        let stop = stop.clone();
        tracing::info!(brokers = ?settings.brokers(), group = settings.group, "consuming");
        parts.spawn(async move { Ok(consumer.run(stop.cancelled_owned()).await?) });
    }
    if settings.mode.serves() {
        let listener = TcpListener::bind(settings.listen)
            .await
            .map_err(|e| format!("cannot listen on {} (LISTEN): {e}", settings.listen))?;
        tracing::info!(address = %listener.local_addr()?, "listening");
        let server = axum::serve(listener, app(AppState::new(pool, pipeline)));
        let server = server.with_graceful_shutdown(stop.clone().cancelled_owned()).into_future();
        parts.spawn(async move { Ok(server.await?) });
    }
    let deadline = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        ended = all(&mut parts, &stop) => ended,
        () = deadline => {
            tracing::warn!("not everything was finished in time");
            Ok(())
        }
    }
}

/// Waits for all parts. One that ends by itself stops the others, and is an error.
async fn all(parts: &mut JoinSet<Outcome>, stop: &CancellationToken) -> Outcome {
    let mut outcome = Ok(());
    while let Some(ended) = parts.join_next().await {
        let ended = ended.unwrap_or_else(|e| Err(e.into()));
        let is_early = !stop.is_cancelled();
        stop.cancel();
        let ended = match ended {
            Ok(()) if is_early => Err("a part of the service ended by itself".into()),
            other => other,
        };
        outcome = outcome.and(ended);
    }
    outcome
}
