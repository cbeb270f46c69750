//! Topics: their names, their settings, their partitions.

use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::imitation::Imitation;
use super::log::{Keys, Log, Refusal, Rules, Timestamps};
use super::settings::{Settings, now_ms};

/// Topic settings of Kafka 4. Those with an effect here are in [`TopicConfig`]; the others are accepted without an
/// effect.
const KNOWN: &[&str] = &[
    "cleanup.policy",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "follower.replication.throttled.replicas",
    "index.interval.bytes",
    "leader.replication.throttled.replicas",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "preallocate",
    "remote.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
];

/// One topic; its partitions are numbered from 0.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) id: Uuid,
    pub(super) config: TopicConfig,
    partitions: Vec<Log>,
}

impl Topic {
    pub(super) fn new(partitions: usize, config: TopicConfig) -> Self {
        Self { id: Uuid::now_v7(), config, partitions: (0..partitions).map(|_| Log::default()).collect() }
    }

    /// Returns the numbers of its partitions.
    pub(super) fn partitions(&self) -> std::ops::Range<i32> {
        0..i32::try_from(self.partitions.len()).unwrap_or(i32::MAX)
    }

    pub(super) fn log(&self, partition: i32) -> Option<&Log> {
        self.partitions.get(usize::try_from(partition).ok()?)
    }

    pub(super) fn log_mut(&mut self, partition: i32) -> Option<&mut Log> {
        self.partitions.get_mut(usize::try_from(partition).ok()?)
    }

    pub(super) fn logs_mut(&mut self) -> impl Iterator<Item = &mut Log> {
        self.partitions.iter_mut()
    }
}

/// The setting `message.timestamp.type`.
#[derive(Debug, Clone, Copy)]
enum TimestampType {
    CreateTime,
    LogAppendTime,
}

/// The settings of a topic that have an effect.
#[derive(Debug, Clone)]
pub(super) struct TopicConfig {
    max_message_bytes: i32,
    after_max_ms: i64,
    before_max_ms: i64,
    timestamps: TimestampType,
    keys: Keys,
}

impl TopicConfig {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            max_message_bytes: settings.max_message_bytes,
            after_max_ms: 60 * 60 * 1000,
            before_max_ms: i64::MAX,
            timestamps: TimestampType::CreateTime,
            keys: Keys::Optional,
        }
    }

    /// Sets one by its name. A name that Kafka does not know is refused.
    pub(super) fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), Refusal> {
        let value = value.ok_or_else(|| invalid_config(name))?;
        match name {
            "max.message.bytes" => self.max_message_bytes = number(name, value)?,
            "message.timestamp.after.max.ms" => self.after_max_ms = number(name, value)?,
            "message.timestamp.before.max.ms" => self.before_max_ms = number(name, value)?,
            "message.timestamp.type" => {
                self.timestamps = match value {
                    "CreateTime" => TimestampType::CreateTime,
                    "LogAppendTime" => TimestampType::LogAppendTime,
                    _ => return Err(invalid_config(name)),
                };
            }
            "cleanup.policy" => {
                let compacts = value.split(',').any(|policy| policy.trim() == "compact");
                self.keys = if compacts { Keys::Required } else { Keys::Optional };
            }
            known if KNOWN.contains(&known) => {}
            _ => return Err(invalid_config(name)),
        }
        Ok(())
    }

    /// Returns the topic's rules for a batch that is sent now.
    pub(super) fn rules(&self, imitation: &Imitation) -> Rules {
        let now = now_ms();
        let timestamps = match self.timestamps {
            TimestampType::LogAppendTime => Timestamps::Append(now),
            TimestampType::CreateTime => {
                let (earliest, latest) =
                    (now.saturating_sub(self.before_max_ms), now.saturating_add(self.after_max_ms));
                Timestamps::Create(earliest..=latest)
            }
        };
        Rules::new(self.max_message_bytes, timestamps, self.keys, imitation.codecs().clone())
    }
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, Refusal> {
    value.trim().parse().map_err(|_cause| invalid_config(name))
}

fn invalid_config(name: &str) -> Refusal {
    Refusal::new(ResponseError::InvalidConfig, format!("{name} is not known, or not with this value"))
}
