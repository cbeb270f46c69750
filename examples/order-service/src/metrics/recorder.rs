use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{CounterFn, GaugeFn, HistogramFn, Key, KeyName, Metadata, SharedString, Unit};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

type Labels = Vec<(String, String)>;

/// The upper bounds of the buckets: for seconds, and for the number of events in a batch.
const SECONDS: [f64; 10] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
const EVENTS: [f64; 6] = [1.0, 4.0, 16.0, 64.0, 128.0, 256.0];

/// A recorder for the facade `metrics` that keeps everything in a registry of prometheus-client, as the relay does.
#[derive(Clone, Debug, Default)]
pub(super) struct Recorder(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    registry: Registry,
    help: BTreeMap<String, String>,
    counters: BTreeMap<String, Family<Labels, Counter>>,
    gauges: BTreeMap<String, Family<Labels, FloatGauge>>,
    histograms: BTreeMap<String, Family<Labels, Histogram, Buckets>>,
}

type FloatGauge = Gauge<f64, AtomicU64>;

/// The buckets of a histogram, by its name.
#[derive(Clone, Debug)]
struct Buckets(&'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

impl Recorder {
    /// Returns all metrics in the OpenMetrics text format.
    pub(super) fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.kept().registry)?;
        Ok(text)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn describe(&self, key: &KeyName, help: &SharedString) {
        self.kept().help.insert(key.as_str().to_owned(), help.trim_end_matches('.').to_owned());
    }
}

/// Returns the family of a name, which it adds to the registry at its first use.
fn family<M: Metric + Clone>(
    families: &mut BTreeMap<String, M>,
    registry: &mut Registry,
    help: &BTreeMap<String, String>,
    name: &str,
    create: impl FnOnce() -> M,
) -> M {
    if let Some(family) = families.get(name) {
        return family.clone();
    }
    let family = create();
    // OpenMetrics adds the suffix to the samples of a counter.
    let registered = name.strip_suffix("_total").unwrap_or(name);
    registry.register(registered, help.get(name).map_or(registered, String::as_str), family.clone());
    families.insert(name.to_owned(), family.clone());
    family
}

fn labels(key: &Key) -> Labels {
    key.labels().map(|label| (label.key().to_owned(), label.value().to_owned())).collect()
}

impl metrics::Recorder for Recorder {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&key, &help);
    }

    fn describe_gauge(&self, key: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&key, &help);
    }

    fn describe_histogram(&self, key: KeyName, _: Option<Unit>, help: SharedString) {
        self.describe(&key, &help);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> metrics::Counter {
        let Kept { registry, help, counters, .. } = &mut *self.kept();
        let family = family(counters, registry, help, key.name(), Family::default);
        metrics::Counter::from_arc(Arc::new(Handle(family.get_or_create(&labels(key)).clone())))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> metrics::Gauge {
        let Kept { registry, help, gauges, .. } = &mut *self.kept();
        let family = family(gauges, registry, help, key.name(), Family::default);
        metrics::Gauge::from_arc(Arc::new(Handle(family.get_or_create(&labels(key)).clone())))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> metrics::Histogram {
        let buckets: &[f64] = if key.name().ends_with("_seconds") { &SECONDS } else { &EVENTS };
        let Kept { registry, help, histograms, .. } = &mut *self.kept();
        let create = || Family::new_with_constructor(Buckets(buckets));
        let family = family(histograms, registry, help, key.name(), create);
        metrics::Histogram::from_arc(Arc::new(Handle(family.get_or_create(&labels(key)).clone())))
    }
}

/// A metric of prometheus-client, as the facade calls it.
struct Handle<M>(M);

impl CounterFn for Handle<Counter> {
    fn increment(&self, value: u64) {
        self.0.inc_by(value);
    }

    fn absolute(&self, value: u64) {
        self.0.inner().fetch_max(value, Ordering::Relaxed);
    }
}

impl GaugeFn for Handle<FloatGauge> {
    fn increment(&self, value: f64) {
        self.0.inc_by(value);
    }

    fn decrement(&self, value: f64) {
        self.0.dec_by(value);
    }

    fn set(&self, value: f64) {
        self.0.set(value);
    }
}

impl HistogramFn for Handle<Histogram> {
    fn record(&self, value: f64) {
        self.0.observe(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facades_metrics_are_openmetrics() {
        let recorder = Recorder::default();
        metrics::with_local_recorder(&recorder, || {
            metrics::describe_counter!("handled_total", "Events that were handled.");
            metrics::counter!("handled_total", "topic" => "a").increment(2);
            metrics::counter!("handled_total", "topic" => "a").increment(1);
            metrics::gauge!("lag", "partition" => "0").set(7.0);
            metrics::histogram!("took_seconds").record(0.02);
        });

        let text = recorder.text().unwrap();
        for line in [
            "# HELP handled Events that were handled.",
            "# TYPE handled counter",
            "handled_total{topic=\"a\"} 3",
            "lag{partition=\"0\"} 7.0",
            "took_seconds_bucket{le=\"0.01\"} 0",
            "took_seconds_bucket{le=\"0.025\"} 1",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
    }
}
