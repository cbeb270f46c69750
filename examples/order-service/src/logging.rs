use std::error::Error;
use std::io::{IsTerminal as _, stderr};

use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, registry};

use crate::settings::LogFormat;

/// The default filter: the drivers log every connection and notice as `info`.
const USUAL: &str = "info,rskafka=warn,tokio_postgres=warn";

/// The log, and the export of traces in a build with the feature `otlp`.
#[derive(Debug)]
#[must_use]
pub struct Logging {
    #[cfg(feature = "otlp")]
    traces: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

impl Logging {
    /// Logs to standard error from now on, as `RUST_LOG` says, and exports traces to the collector that
    /// `OTEL_EXPORTER_OTLP_ENDPOINT` names.
    ///
    /// # Errors
    /// The settings of the export cannot be used.
    pub fn start(format: LogFormat) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(USUAL));
        let lines = fmt::layer().with_writer(stderr);
        let lines = match format {
            LogFormat::Text => lines.with_ansi(stderr().is_terminal()).boxed(),
            LogFormat::Json => lines.json().flatten_event(true).boxed(),
        };
        let subscriber = registry().with(lines.with_filter(filter));

        #[cfg(feature = "otlp")]
        {
            let traces = crate::otlp::start()?;
            subscriber.with(traces.as_ref().map(crate::otlp::layer)).init();
            Ok(Self { traces })
        }
        #[cfg(not(feature = "otlp"))]
        {
            subscriber.init();
            Ok(Self {})
        }
    }

    /// Sends the traces that were not sent yet.
    pub fn shut_down(self) {
        #[cfg(feature = "otlp")]
        if let Some(error) = self.traces.and_then(|traces| traces.shutdown().err()) {
            tracing::warn!(%error, "traces were not sent to the end");
        }
    }
}
