use outbox_core::connector::keys::KeyTable;

use super::finding::{Finding, Findings};
use super::resolved::Resolved;
use super::{KeySupport, RelaySettings};

/// The result of checking a connector's configuration; see
/// [`RelaySettingsBuilder::check`](super::RelaySettingsBuilder::check).
#[derive(Clone, Debug)]
pub struct ConfigurationCheck {
    rejected: Vec<Finding>,
    warnings: Vec<Finding>,
    outline: Vec<(&'static str, String)>,
}

impl ConfigurationCheck {
    pub(super) fn new(config: &Resolved, settings: Option<&RelaySettings>, findings: Findings) -> Self {
        let outline = settings.map(|settings| Outline { config, settings }.entries()).unwrap_or_default();
        let (rejected, warnings) = findings.into_parts();
        let outline = if rejected.is_empty() { outline } else { Vec::new() };
        Self { rejected, warnings, outline }
    }

    /// Returns whether the relay accepts the configuration.
    #[must_use]
    pub fn is_accepted(&self) -> bool {
        self.rejected.is_empty()
    }

    /// Returns all findings for which the relay rejects the configuration.
    #[must_use]
    pub fn rejected(&self) -> &[Finding] {
        &self.rejected
    }

    /// Returns the warnings about settings that have another effect than in Debezium.
    #[must_use]
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }

    /// Returns a summary of the relay's behaviour, as names and descriptions. It is empty for a rejected configuration.
    #[must_use]
    pub fn outline(&self) -> &[(&'static str, String)] {
        &self.outline
    }
}

const FROM_DATABASE: &str = "its columns are read from the database at the start";

/// Describes the behaviour of a relay with these settings.
struct Outline<'a> {
    config: &'a Resolved,
    settings: &'a RelaySettings,
}

/// Describes the behaviour of one router.
struct RouterOutline<'a> {
    config: &'a Resolved,
    settings: &'a RelaySettings,
    router: &'a str,
}

impl Outline<'_> {
    /// Returns the entries about the database, the slot and the records.
    fn entries(&self) -> Vec<(&'static str, String)> {
        let postgres = self.settings.postgres();
        let servers: Vec<_> = postgres.servers().iter().map(|(host, port)| format!("{host}:{port}")).collect();
        let table = match (self.config.get("table.include.list"), self.config.get("table.exclude.list")) {
            (None | Some(""), Some(".*")) => "none".to_owned(),
            (None | Some(""), _) => format!("each of the publication, {FROM_DATABASE}"),
            (Some(list), _) => format!("{list}, {FROM_DATABASE}"),
        };

        let mut entries = vec![
            ("database", format!("{}/{}", servers.join(","), postgres.database())),
            ("slot", self.settings.slot().as_str().to_owned()),
            ("publication", self.settings.publication().as_str().to_owned()),
            ("table", table),
            ("topic", self.of_routers(|router| router.topic())),
            ("key", format!("{}, {}", self.of_routers(|router| router.key()), self.converter("key"))),
            ("value", format!("{}, {}", self.of_routers(|router| router.value()), self.converter("value"))),
            ("headers", self.of_routers(|router| router.headers())),
            ("timestamp", self.of_routers(|router| router.timestamp())),
            ("missing topics", self.missing_topics()),
            ("heartbeats", self.heartbeats()),
        ];

        if self.settings.included().messages().is_some() {
            let prefixes = self.config.get("message.prefix.include.list").filter(|list| !list.is_empty());
            let messages = prefixes.map_or_else(|| "all".to_owned(), |list| format!("those with the prefix {list}"));
            entries.insert(4, ("messages", messages));
        }

        let keys = KeyTable::for_config(self.config.values());
        let idle = self.config.iter().map(|(key, _)| key);
        let idle: Vec<_> = idle.filter(|key| keys.support(key) == Some(KeySupport::Ignored)).collect();

        if !idle.is_empty() {
            entries.push(("keys without effect", idle.join(", ")));
        }
        entries
    }

    /// Returns a description for each router.
    fn of_routers(&self, describe: impl Fn(&RouterOutline<'_>) -> String) -> String {
        let Self { config, settings } = *self;
        let routers = config.routers();
        let described = |router: &&str| describe(&RouterOutline { config, settings, router });
        match routers.as_slice() {
            [router] => described(router),
            routers => {
                let named = routers.iter().map(|router| format!("{router}: {}", described(router)));
                named.collect::<Vec<_>>().join("; ")
            }
        }
    }

    fn converter(&self, part: &str) -> String {
        let class =
            |key: &str| self.config.get(key).map(|class| class.rsplit('.').next().unwrap_or_default().to_owned());
        let mut key = format!("{part}.converter");
        let mut text = class(&key).unwrap_or_default();
        let delegate = format!("{key}.delegate.converter.type");
        if let Some(class) = class(&delegate) {
            text = format!("{text} of {class}");
            key = delegate;
        }

        if text.ends_with("JsonConverter") {
            let schemas = self.config.get(&format!("{key}.schemas.enable")).unwrap_or("true");
            text.push_str(if schemas.eq_ignore_ascii_case("false") { " without schemas" } else { " with schemas" });
        }
        text
    }

    fn heartbeats(&self) -> String {
        let Some(heartbeats) = self.settings.heartbeats() else { return "none".to_owned() };
        let record = heartbeats.record().map(|record| format!("a record to {}", record.topic()));
        let query = heartbeats.action_query().map(|_| "heartbeat.action.query".to_owned());
        let parts: Vec<_> = record.into_iter().chain(query).collect();
        if parts.is_empty() {
            return "none".to_owned();
        }
        format!("{} every {:?}", parts.join(", and "), heartbeats.interval())
    }

    fn missing_topics(&self) -> String {
        let number = |number: i32| if number == -1 { "the broker's default".to_owned() } else { number.to_string() };
        match self.settings.topic_creation() {
            None => "created with the broker's defaults".to_owned(),
            Some(creation) => format!(
                "created with partitions: {}, replicas: {}",
                number(creation.partitions()),
                number(creation.replication_factor().into())
            ),
        }
    }
}

impl RouterOutline<'_> {
    fn option(&self, option: &str, default: &str) -> String {
        self.config.get(&format!("transforms.{}.{option}", self.router)).unwrap_or(default).to_owned()
    }

    fn key(&self) -> String {
        self.option("table.field.event.key", "aggregateid")
    }

    fn timestamp(&self) -> String {
        self.option("table.field.event.timestamp", "the relay's clock")
    }

    fn is_on(&self, option: &str) -> bool {
        self.option(option, "false").eq_ignore_ascii_case("true")
    }

    fn topic(&self) -> String {
        let column = self.option("route.by.field", "aggregatetype");
        let replacement = self.option("route.topic.replacement", "outbox.event.${routedByValue}");
        match self.option("route.topic.regex", "").as_str() {
            "" => format!("{replacement}, routed by {column}"),
            regex => format!("{replacement}, routed by {column} as {regex}"),
        }
    }

    fn value(&self) -> String {
        let payload = self.option("table.field.event.payload", "payload");
        let expanded = if self.is_on("table.expand.json.payload") { " (expanded)" } else { "" };
        let tombstone = if self.is_on("route.tombstone.on.empty.payload") { " (tombstone if empty)" } else { "" };
        format!("{payload}{expanded}{tombstone}")
    }

    fn headers(&self) -> String {
        let context =
            self.settings.context_headers().into_iter().flat_map(|headers| headers.iter().map(|(name, _)| name));
        let placement = self.option("table.fields.additional.placement", "");
        let placed = placement.split(',').filter_map(|item| {
            let parts: Vec<_> = item.split(':').map(str::trim).collect();
            match parts.as_slice() {
                [column, "header"] | [_, "header", column] => Some((*column).to_owned()),
                _ => None,
            }
        });
        let names = context.chain(["id"]).map(str::to_owned).chain(placed).chain(["outbox.position".to_owned()]);
        names.collect::<Vec<_>>().join(", ")
    }
}
