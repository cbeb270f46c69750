use std::error::Error;
use std::future::IntoFuture as _;
use std::time::Duration;

use deadpool_postgres::Pool;
use outbox_core::Pipeline;
use outbox_kafka_consumer::{Consumer, with};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::app;
use crate::maintenance::maintain;
use crate::received::{Handler, record};
use crate::settings::{PageAccess, Settings};
use crate::state::AppState;
use crate::switches::Switches;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// The time that requests and handlers that run at shutdown may continue. The consumer gives its handlers as long.
const DRAIN: Duration = Duration::from_secs(10);

/// The parts of the service that the mode names: the HTTP interface and the consumer.
#[derive(Debug)]
pub struct Service<'a> {
    settings: &'a Settings,
    state: AppState,
    handler: Handler,
}

impl<'a> Service<'a> {
    /// Creates the service, whose orders and events go to the database of the pool, events in the form of the pipeline.
    #[must_use]
    pub fn new(settings: &'a Settings, pipeline: Pipeline, pool: Pool) -> Self {
        let state = AppState::new(pool, pipeline).page(settings.page(), &settings.group);
        Self { settings, state, handler: Handler::default() }
    }

    /// Lets the page turn the switches of a demonstration, and adds the relay's metrics to those of the service.
    #[must_use]
    pub fn demo(self, switches: Switches, relay_metrics: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self {
            state: self.state.demo(switches.clone(), relay_metrics),
            handler: Handler::with_switch(switches.handler),
            ..self
        }
    }

    /// Runs the parts until the token is cancelled.
    ///
    /// # Errors
    /// A part could not start, failed or panicked: a service without one of its parts would only look healthy.
    pub async fn run(self, stop: CancellationToken) -> Outcome {
        let listener = listen(self.settings).await?;
        self.run_on(listener, stop).await
    }

    /// Runs the parts on a socket that was opened by [`listen`].
    pub(crate) async fn run_on(self, listener: Option<TcpListener>, stop: CancellationToken) -> Outcome {
        crate::metrics::install();
        let mut parts = JoinSet::new();

        if self.settings.mode.consumes() {
            let consumer = self.consumer()?.run(stop.clone().cancelled_owned());
            tracing::info!(brokers = ?self.settings.brokers(), group = self.settings.group, "consuming");
            parts.spawn(async move { Ok(consumer.await?) });
        }

        if let Some(listener) = listener {
            let address = listener.local_addr()?;
            let page = (self.settings.page() != PageAccess::Off).then(|| format!("http://{address}/"));
            tracing::info!(%address, page, "listening");

            let maintenance = maintain(self.state.pool.clone(), self.state.pipeline.clone(), stop.clone());
            parts.spawn(async move {
                maintenance.await;
                Ok(())
            });

            let server = axum::serve(listener, app(self.state.stop(stop.clone())));
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

    fn consumer(&self) -> Result<Consumer, Box<dyn Error + Send + Sync>> {
        let consumer = Consumer::builder(self.settings.brokers())
            .security(self.settings.kafka_security()?)
            .pipeline(self.state.pipeline.clone())
            .group(&self.settings.group)
            .pool(self.state.pool.clone())
            .schema(self.state.pipeline.layout().schema().clone())
            .on(with(self.handler.clone(), record));
        #[cfg(feature = "otlp")]
        let consumer = consumer.on_span(|span, event| event.continue_trace(span));
        Ok(consumer.build()?)
    }
}

/// Opens the socket, if the mode serves HTTP.
///
/// # Errors
/// The address cannot be used.
pub(crate) async fn listen(settings: &Settings) -> Result<Option<TcpListener>, Box<dyn Error + Send + Sync>> {
    if !settings.mode.serves() {
        return Ok(None);
    }
    let address = settings.listen;
    let failed = |e| format!("cannot listen on {address}: {e}; choose another address with LISTEN or --listen");
    Ok(Some(TcpListener::bind(address).await.map_err(failed)?))
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
