//! Stands for the exporter of traces and metrics in a program without the feature `otlp`.

use std::convert::Infallible;
use std::error::Error;

use outbox_relay::RelayStatus;
use tracing_subscriber::layer::Identity;

/// There are no exporters.
pub(crate) struct Otlp(Infallible);

impl Otlp {
    #[expect(clippy::unnecessary_wraps, reason = "the exporters can fail to start")]
    pub(crate) fn start() -> Result<Option<Self>, Box<dyn Error>> {
        Ok(None)
    }

    pub(crate) fn spans(&self) -> Identity {
        match self.0 {}
    }

    #[expect(clippy::unused_async, reason = "the exporters wait")]
    pub(crate) async fn export_metrics(&self, _: RelayStatus) {
        match self.0 {}
    }

    pub(crate) fn shut_down(&self) {
        match self.0 {}
    }
}
