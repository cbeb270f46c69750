use std::sync::atomic::AtomicU64;
use std::time::Duration;

use outbox_core::connector::DroppedBy;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::health::Mode;
use super::lag::{HeartbeatPart, Reconnect};
use crate::progress::Counters;
use crate::rows::Ignored;
use outbox_wal::{Lsn, SlotStatus};

type Labels = [(&'static str, String); 1];
type Seconds = Gauge<f64, AtomicU64>;

/// The relay's metrics. Counts of rows are added once a turn.
pub struct Metrics {
    registry: Registry,
    events: Family<Labels, Counter>,
    bytes: Family<Labels, Counter>,
    read: Counter,
    skipped: Counter,
    duplicates_accepted: Counter,
    stored_as_it_was: Counter,
    dead_letters: Counter,
    left_out: Counter,
    retries: Counter,
    scans_cut: Counter,
    restarts: Counter,
    ignored: Family<Labels, Counter>,
    records_dropped: Family<Labels, Counter>,
    heartbeats: Family<Labels, Counter>,
    heartbeat_failures: Family<Labels, Counter>,
    reconnects: Family<Labels, Counter>,
    kafka_errors: Family<[(&'static str, String); 2], Counter>,
    confirmed: Gauge,
    restart: Gauge,
    catch_up: Gauge,
    catch_up_remaining: Gauge,
    held_rows: Gauge,
    held_bytes: Gauge,
    lag_bytes: Gauge,
    lag_seconds: Seconds,
    wal_held: Gauge,
    produce: Histogram,
    mode: Family<Labels, Gauge>,
}

/// The upper bounds of the histogram's buckets, in seconds.
const BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

impl Metrics {
    pub fn new() -> Self {
        let metrics = Self {
            registry: Registry::default(),
            events: Family::default(),
            bytes: Family::default(),
            read: Counter::default(),
            skipped: Counter::default(),
            duplicates_accepted: Counter::default(),
            stored_as_it_was: Counter::default(),
            dead_letters: Counter::default(),
            left_out: Counter::default(),
            retries: Counter::default(),
            scans_cut: Counter::default(),
            restarts: Counter::default(),
            ignored: Family::default(),
            records_dropped: Family::default(),
            heartbeats: Family::default(),
            heartbeat_failures: Family::default(),
            reconnects: Family::default(),
            kafka_errors: Family::default(),
            confirmed: Gauge::default(),
            restart: Gauge::default(),
            catch_up: Gauge::default(),
            catch_up_remaining: Gauge::default(),
            held_rows: Gauge::default(),
            held_bytes: Gauge::default(),
            lag_bytes: Gauge::default(),
            lag_seconds: Seconds::default(),
            wal_held: Gauge::default(),
            produce: Histogram::new(BUCKETS),
            mode: Family::default(),
        };
        metrics.ignored(Ignored::default());

        for part in HeartbeatPart::ALL {
            metrics.heartbeats.get_or_create(&label_of(part)).inc_by(0);
            metrics.heartbeat_failures.get_or_create(&label_of(part)).inc_by(0);
        }

        for by in [DroppedBy::Filter, DroppedBy::NullValue] {
            metrics.dropped_by(by).inc_by(0);
        }

        for cause in Reconnect::ALL {
            metrics.reconnects_by(cause);
        }
        metrics.registered()
    }

    /// Registers the metrics with their names and descriptions.
    fn registered(mut self) -> Self {
        let mut registry = Registry::with_prefix("outbox_relay");
        let counters = [
            ("rows_read", "Rows of the outbox that were read from the WAL", &self.read),
            ("rows_skipped", "Rows that were not sent, as their records were in the log already", &self.skipped),
            (
                "duplicates_accepted",
                "Rows that were sent although the log may hold them before more records of others than the scan's limit",
                &self.duplicates_accepted,
            ),
            (
                "payloads_as_stored",
                "Payloads that were written as they are stored, where JSON expansion would have lost or stopped",
                &self.stored_as_it_was,
            ),
            ("dead_letters", "Rows that went to the topic for dead letters", &self.dead_letters),
            ("rows_left_out", "Rows that were skipped by their positions, as requested", &self.left_out),
            ("batch_retries", "Requests after which a batch was sent again", &self.retries),
            ("scans_cut", "Partitions whose end was read up to the scan's limit only", &self.scans_cut),
            ("restarts", "Holds of the slot that broke off and were begun again", &self.restarts),
        ];

        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }

        registry.register("events", "Events that the broker has acknowledged", self.events.clone());
        let help = "Keys, values and headers that the broker has acknowledged, before compression, in bytes";
        registry.register("record_bytes", help, self.bytes.clone());
        let help = "Changes that are no events: changes to other tables, and what is no insert";
        registry.register("ignored_changes", help, self.ignored.clone());

        let help = "Records of events that a transformation of the connector drops, by kind";
        registry.register("records_dropped", help, self.records_dropped.clone());

        let help = "Heartbeats by part: records that the broker has acknowledged, and statements that were executed";
        registry.register("heartbeats", help, self.heartbeats.clone());

        let help = "Attempts at a heartbeat that failed, by part";
        registry.register("heartbeat_failures", help, self.heartbeat_failures.clone());

        let help = "New connections to PostgreSQL after the first, and attempts that failed, by cause";
        registry.register("reconnects", help, self.reconnects.clone());
        let help = "Requests to Kafka that failed, for each of their partitions, by request and error code";
        registry.register("kafka_errors", help, self.kafka_errors.clone());
        let help = "The slot's confirmed_flush_lsn as a number, as far as the relay has confirmed it";
        registry.register("confirmed_lsn", help, self.confirmed.clone());
        let help = "The slot's restart_lsn as a number, which is read every 10 s";
        registry.register("restart_lsn", help, self.restart.clone());
        let help = "The WAL between the slot's confirmed_flush_lsn and the WAL end when the relay took the slot";
        registry.register("catch_up_bytes", help, self.catch_up.clone());
        let help = "The part of that WAL that is still to be read";
        registry.register("catch_up_remaining_bytes", help, self.catch_up_remaining.clone());

        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version of the relay", build);
        registry.register("unacknowledged_rows", "Rows that are read and not yet written", self.held_rows.clone());

        let help = "Memory of the rows that are read and not yet written";
        registry.register("unacknowledged_bytes", help, self.held_bytes.clone());
        let help = "The server's WAL that is not confirmed yet, other tables' included";
        registry.register("lag_bytes", help, self.lag_bytes.clone());
        let help = "The age of the oldest transaction that was read and is not confirmed";
        registry.register_with_unit("lag", help, Unit::Seconds, self.lag_seconds.clone());
        registry.register("wal_held_bytes", "The WAL that the server keeps for the slot", self.wal_held.clone());
        let help = "The time from a batch's sending to the broker's answer";
        registry.register_with_unit("produce", help, Unit::Seconds, self.produce.clone());
        registry.register("mode", "What the relay is doing: 1 for the mode that it is in", self.mode.clone());
        self.registry = registry;
        self
    }

    pub fn count(&self, new: Counters) {
        self.read.inc_by(new.read);
        self.skipped.inc_by(new.skipped);
        self.duplicates_accepted.inc_by(new.duplicates_accepted);
    }

    /// Counts changes by kind. Every kind is shown from the start.
    pub fn ignored(&self, new: Ignored) {
        let Ignored { updates, deletes, truncates, messages, other_tables } = new;
        let kinds = [
            ("update", updates),
            ("delete", deletes),
            ("truncate", truncates),
            ("message", messages),
            ("other_table", other_tables),
        ];
        for (kind, count) in kinds {
            self.ignored.get_or_create(&[("kind", kind.to_owned())]).inc_by(count);
        }
    }

    pub fn dropped(&self, by: DroppedBy) {
        self.dropped_by(by).inc();
    }

    fn dropped_by(&self, by: DroppedBy) -> Counter {
        let kind = match by {
            DroppedBy::NullValue => "null_value",
            // There is no other kind.
            _ => "filter",
        };
        self.records_dropped.get_or_create(&[("kind", kind.to_owned())]).clone()
    }

    pub fn heartbeat_succeeded(&self, part: HeartbeatPart) {
        self.heartbeats.get_or_create(&label_of(part)).inc();
    }

    pub fn heartbeat_failed(&self, part: HeartbeatPart) {
        self.heartbeat_failures.get_or_create(&label_of(part)).inc();
    }

    pub fn reconnecting(&self, cause: Reconnect) {
        self.reconnects_by(cause).inc();
    }

    fn reconnects_by(&self, cause: Reconnect) -> Counter {
        self.reconnects.get_or_create(&[("cause", cause.name().to_owned())]).clone()
    }

    pub fn kafka_failed(&self, error: &outbox_kafka::Error) {
        let labels = [("request", error.api().unwrap_or("none").to_owned()), ("error", error.name())];
        self.kafka_errors.get_or_create(&labels).inc();
    }

    pub fn confirmed(&self, lsn: Lsn) {
        self.confirmed.set(gauge(lsn.as_u64()));
    }

    pub fn catching_up(&self, all: u64, remaining: u64) {
        self.catch_up.set(gauge(all));
        self.catch_up_remaining.set(gauge(remaining));
    }

    pub fn holds(&self, rows: usize, bytes: usize) {
        self.held_rows.set(gauge(rows));
        self.held_bytes.set(gauge(bytes));
    }

    pub fn record_slot(&self, slot: SlotStatus) {
        self.restart.set(gauge(slot.restart_lsn.as_u64()));
        self.wal_held.set(gauge(slot.wal_end.as_u64().saturating_sub(slot.restart_lsn.as_u64())));
    }

    pub fn record_written(&self, topic: &str, events: u64, bytes: u64) {
        let topic = [("topic", topic.to_owned())];
        self.events.get_or_create(&topic).inc_by(events);
        self.bytes.get_or_create(&topic).inc_by(bytes);
    }

    pub fn produced_in(&self, time: Duration) {
        self.produce.observe(time.as_secs_f64());
    }

    pub fn retried(&self) {
        self.retries.inc();
    }

    pub fn stored_as_it_was(&self) {
        self.stored_as_it_was.inc();
    }

    pub fn dead_lettered(&self) {
        self.dead_letters.inc();
    }

    pub fn left_out(&self) {
        self.left_out.inc();
    }

    pub fn scan_cut(&self) {
        self.scans_cut.inc();
    }

    pub fn started_again(&self) {
        self.restarts.inc();
    }

    pub fn render(&self, mode: Mode, lag_bytes: u64, lag: Duration) -> String {
        for each in Mode::ALL {
            self.mode.get_or_create(&[("mode", each.name().to_owned())]).set(i64::from(each == mode));
        }
        self.lag_bytes.set(gauge(lag_bytes));
        self.lag_seconds.set(lag.as_secs_f64());
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn label_of(part: HeartbeatPart) -> Labels {
    [("part", part.name().to_owned())]
}

fn gauge(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}
