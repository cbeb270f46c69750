use std::collections::BTreeMap;
use std::fmt;

use outbox_core::connector::JavaRegex;

use super::Finding;
use super::finding::Findings;
use super::postgres::number;
use super::resolved::Resolved;

const PREFIX: &str = "topic.creation.";
const GROUPS: &str = "topic.creation.groups";
/// The options of a group that are not settings of its topics.
const OPTIONS: [&str; 4] = ["partitions", "replication.factor", "include", "exclude"];

/// The settings of topics that are missing and created (`topic.creation.default.*`, and the groups of
/// `topic.creation.groups`).
#[derive(Clone)]
pub struct TopicCreation {
    partitions: i32,
    replication_factor: i16,
    configs: BTreeMap<String, String>,
    groups: Vec<Group>,
}

/// Topics that are created with settings of their own.
#[derive(Clone)]
struct Group {
    include: JavaRegex,
    exclude: Option<JavaRegex>,
    creation: TopicCreation,
}

impl TopicCreation {
    /// Reads the settings; `None` if the configuration has none, so that the broker's defaults count.
    pub(super) fn of(config: &Resolved, findings: &mut Findings) -> Option<Option<Self>> {
        let is_default = |key: &str| key.starts_with("topic.creation.default.");
        let names: Vec<&str> = names(config).collect();
        if names.is_empty() && !config.iter().any(|(key, _)| is_default(key)) {
            return Some(None);
        }

        let default = findings.take(Self::of_group(config, "default", None))?;
        let groups: Vec<_> = names.iter().map(|name| findings.take(Group::of(config, name, &default))).collect();
        let groups = groups.into_iter().collect::<Option<_>>()?;
        Some(Some(Self { groups, ..default }))
    }

    /// Reads a group's settings. A number that it lacks is that of the default.
    fn of_group(config: &Resolved, group: &str, default: Option<&Self>) -> Result<Self, Finding> {
        let prefix = format!("{PREFIX}{group}.");
        let counted = |option: &str, default: Option<i32>| {
            let key = format!("{prefix}{option}");
            if default.is_none() && config.get(&key).is_none() {
                let reason = "Connect wants replication.factor and partitions of the default, or nothing of both";
                return Err(Finding::new(key, reason).with_remedy("set it"));
            }
            match number(config, &key, default.unwrap_or(-1))? {
                number if number >= 1 || number == -1 => Ok(number),
                _ => Err(Finding::new(key, "it is 1 or more, or -1 for the broker's default")),
            }
        };

        let configs =
            config.iter().filter_map(|(key, value)| Some((key.strip_prefix(&prefix)?.to_owned(), value.to_owned())));

        let replicas = counted("replication.factor", default.map(|default| default.replication_factor.into()))?;
        Ok(Self {
            partitions: counted("partitions", default.map(|default| default.partitions))?,
            replication_factor: i16::try_from(replicas)
                .map_err(|_| Finding::new(format!("{prefix}replication.factor"), "it is too large"))?,
            configs: configs.filter(|(name, _)| !OPTIONS.contains(&name.as_str())).collect(),
            groups: Vec::new(),
        })
    }

    /// Returns the settings of a topic: those of the first group that it belongs to, or else the default.
    pub(crate) fn for_topic(&self, topic: &str) -> &Self {
        let group = self.groups.iter().find(|group| group.contains(topic));
        group.map_or(self, |group| &group.creation)
    }

    /// Returns the number of partitions; -1 is the broker's default, as in Kafka's protocol.
    #[must_use]
    pub fn partitions(&self) -> i32 {
        self.partitions
    }

    /// Returns the number of replicas; -1 is the broker's default, as in Kafka's protocol.
    #[must_use]
    pub fn replication_factor(&self) -> i16 {
        self.replication_factor
    }

    /// Returns the topic's own settings, such as `cleanup.policy`.
    #[must_use]
    pub fn configs(&self) -> &BTreeMap<String, String> {
        &self.configs
    }
}

impl Group {
    fn of(config: &Resolved, name: &str, default: &TopicCreation) -> Result<Self, Finding> {
        let pattern = |option: &str| {
            let key = format!("{PREFIX}{name}.{option}");
            let list = config.get(&key).filter(|list| !list.is_empty());
            let patterns = list.map(|list| list.split(',').map(str::trim).collect::<Vec<_>>().join("|"));
            let regex = patterns.map(|patterns| JavaRegex::parse(&patterns)).transpose();
            regex.map_err(|error| Finding::new(&key, error.to_string()))
        };
        let Some(include) = pattern("include")? else {
            return Err(Finding::new(GROUPS, "a group has no topics").with_remedy("set topic.creation.GROUP.include"));
        };
        Ok(Self {
            include,
            exclude: pattern("exclude")?,
            creation: TopicCreation::of_group(config, name, Some(default))?,
        })
    }

    fn contains(&self, topic: &str) -> bool {
        let names = |regex: &JavaRegex| regex.matches(topic).unwrap_or(false);
        names(&self.include) && !self.exclude.as_ref().is_some_and(names)
    }
}

fn names(config: &Resolved) -> impl Iterator<Item = &str> {
    let listed = config.get(GROUPS).unwrap_or_default().split(',').map(str::trim);
    listed.filter(|name| !name.is_empty() && *name != "default")
}

/// Shows the names of the topic's settings without their values.
impl fmt::Debug for TopicCreation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicCreation")
            .field("partitions", &self.partitions)
            .field("replication_factor", &self.replication_factor)
            .field("configs", &self.configs.keys())
            .field("groups", &self.groups.len())
            .finish()
    }
}
