//! Traces and metrics to an OpenTelemetry collector, if `OTEL_EXPORTER_OTLP_ENDPOINT` names one.

use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;

use crate::status::RelayStatus;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter, MeterProvider as _};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{MetricExporter, SpanExporter};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::{Layer, Registry};

/// The interval at which new metrics are looked for.
const LOOK: Duration = Duration::from_secs(5);
const NAME: &str = "outbox-relay";

/// The exporters, which send until they are shut down.
pub(super) struct Otlp {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
}

impl Otlp {
    /// Starts the exporters, if the environment names a collector. It is reached by HTTP without TLS.
    pub(super) fn start() -> Result<Option<Self>, Box<dyn Error>> {
        if std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT").is_none() {
            return Ok(None);
        }
        // The HTTP client needs a default provider if another crate of the build enables its TLS. An installed provider
        // stays.
        _ = outbox_net::rustls::crypto::ring::default_provider().install_default();

        let mut resource =
            Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name(NAME);
        }
        let resource = resource.build();
        let spans = SpanExporter::builder().with_http().build()?;
        let traces = SdkTracerProvider::builder().with_batch_exporter(spans).with_resource(resource.clone()).build();
        let metrics = MetricExporter::builder().with_http().build()?;
        let metrics = SdkMeterProvider::builder().with_periodic_exporter(metrics).with_resource(resource).build();
        Ok(Some(Self { traces, metrics }))
    }

    /// Returns the layer that records the relay's spans: the sessions of the slot, and the batches.
    pub(super) fn spans(&self) -> impl Layer<Registry> + Send + Sync + use<> {
        let is_own = filter_fn(|metadata| metadata.is_span() && metadata.target() == "outbox.relay");
        let is_own = is_own.with_max_level_hint(LevelFilter::DEBUG);
        tracing_opentelemetry::layer().with_tracer(self.traces.tracer(NAME)).with_filter(is_own)
    }

    /// Exports the metrics of a relay until the future is dropped.
    pub(super) async fn export_metrics(&self, status: RelayStatus) {
        let (meter, mut known) = (self.metrics.meter(NAME), BTreeSet::new());
        loop {
            // A metric with labels has no values before the first one is counted.
            for (name, kind) in types(&status.prometheus_text()) {
                if known.insert(name.clone()) {
                    observe(&meter, &status, &name, &kind);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Sends the remaining traces and metrics.
    pub(super) fn shut_down(&self) {
        let ended = [self.traces.shutdown(), self.metrics.shutdown()];
        for error in ended.into_iter().filter_map(Result::err) {
            tracing::warn!(target: "outbox.relay", %error, "export of the last traces or metrics failed");
        }
    }
}

/// Returns name and kind of each metric of a text in the OpenMetrics format.
fn types(text: &str) -> Vec<(String, String)> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    types.map(|(name, kind)| (name.to_owned(), kind.to_owned())).collect()
}

/// Exports a metric under the name that it has in /metrics. A histogram is exported as its count and sum.
fn observe(meter: &Meter, status: &RelayStatus, name: &str, kind: &str) {
    let samples: &[&str] = match kind {
        "counter" => &["_total"],
        "gauge" => &[""],
        "histogram" => &["_count", "_sum"],
        _ => &[],
    };
    for suffix in samples {
        let (sample, status) = (format!("{name}{suffix}"), status.clone());
        let callback = {
            let sample = sample.clone();
            move |observer: &dyn AsyncInstrument<f64>| {
                for (labels, value) in values(&status.prometheus_text(), &sample) {
                    observer.observe(value, &labels);
                }
            }
        };
        match kind {
            "gauge" => drop(meter.f64_observable_gauge(sample).with_callback(callback).build()),
            _ => drop(meter.f64_observable_counter(sample).with_callback(callback).build()),
        }
    }
}

/// Returns the values of a metric in a text in the OpenMetrics format, with their labels.
fn values(text: &str, name: &str) -> Vec<(Vec<KeyValue>, f64)> {
    let value = |line: &str| {
        let (labels, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
        let labels = match labels {
            "" => Vec::new(),
            labels => labels.strip_prefix('{')?.strip_suffix("\"}")?.split("\",").filter_map(label).collect(),
        };
        Some((labels, value.parse().ok()?))
    };
    text.lines().filter_map(value).collect()
}

fn label(text: &str) -> Option<KeyValue> {
    let (name, value) = text.split_once("=\"")?;
    Some(KeyValue::new(name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_their_labels() {
        let text = "# TYPE a counter\na_total{x=\"1\",y=\"two\"} 3\na_total{x=\"2\",y=\"\"} 4\na_totals 5\n# TYPE b gauge\nb 0.5\n";
        let labels = |x: &str, y: &str| vec![KeyValue::new("x", x.to_owned()), KeyValue::new("y", y.to_owned())];
        assert_eq!(values(text, "a_total"), [(labels("1", "two"), 3.0), (labels("2", ""), 4.0)]);
        assert_eq!(values(text, "b"), [(Vec::new(), 0.5)]);
        assert_eq!(types(text), [("a".to_owned(), "counter".to_owned()), ("b".to_owned(), "gauge".to_owned())]);
    }
}
