use std::collections::BTreeMap;
use std::fmt;

use super::SettingsError;
use super::postgres::number;
use super::resolved::Resolved;

const PREFIX: &str = "topic.creation.default.";

/// What topics that are missing are created with (`topic.creation.default.*`).
#[derive(Clone, PartialEq, Eq)]
pub struct TopicCreation {
    partitions: i32,
    replication_factor: i16,
    configs: BTreeMap<String, String>,
}

impl TopicCreation {
    /// None where the configuration says nothing: the broker's defaults count then.
    pub(super) fn of(config: &Resolved) -> Result<Option<Self>, SettingsError> {
        let mut configs: BTreeMap<_, _> = config
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(PREFIX)?.to_owned(), value.to_owned())))
            .collect();
        if configs.is_empty() {
            return Ok(None);
        }
        let required = |option: &str| {
            let key = format!("{PREFIX}{option}");
            match config.get(&key) {
                Some(_) => Ok(key),
                None => {
                    Err(config.refused(&key, "Connect wants replication.factor and partitions, or nothing of both"))
                }
            }
        };
        let (partitions, replicas) = (required("partitions")?, required("replication.factor")?);
        let created = Self {
            partitions: number(config, &partitions, -1)?,
            replication_factor: number(config, &replicas, -1)?,
            configs: {
                configs.retain(|name, _| name != "partitions" && name != "replication.factor");
                configs
            },
        };
        let reason = "it is 1 or more, or -1 for the broker's default";
        if created.partitions < 1 && created.partitions != -1 {
            return Err(config.refused(&partitions, reason));
        }
        if created.replication_factor < 1 && created.replication_factor != -1 {
            return Err(config.refused(&replicas, reason));
        }
        Ok(Some(created))
    }

    /// The number of partitions; -1 is the broker's default, as in Kafka's protocol.
    #[must_use]
    pub fn partitions(&self) -> i32 {
        self.partitions
    }

    /// The number of replicas; -1 is the broker's default, as in Kafka's protocol.
    #[must_use]
    pub fn replication_factor(&self) -> i16 {
        self.replication_factor
    }

    /// The topic's own settings, such as `cleanup.policy`.
    #[must_use]
    pub fn configs(&self) -> &BTreeMap<String, String> {
        &self.configs
    }
}

/// Shows the names of the topic's settings without their values.
impl fmt::Debug for TopicCreation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicCreation")
            .field("partitions", &self.partitions)
            .field("replication_factor", &self.replication_factor)
            .field("configs", &self.configs.keys())
            .finish()
    }
}
