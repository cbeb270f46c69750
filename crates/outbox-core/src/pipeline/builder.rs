use std::fmt;
use std::time::Duration;

use super::Pipeline;
use crate::{ColumnType, ConnectorConfig, Error, RowLife, TableLayout};

/// Names and settings of a [`Pipeline`], which writes the connector's JSON from them; made by [`Pipeline::builder`].
///
/// ```
/// use outbox_core::event::AggregateType;
/// use outbox_core::layout::ColumnType;
/// use outbox_core::Pipeline;
///
/// let pipeline = Pipeline::builder()
///     .service("billing")
///     .topics("shop.{aggregate_type}.v1")
///     .payload_type(ColumnType::Jsonb)
///     .option("database.sslmode", "require")
///     .build()?;
///
/// assert_eq!(pipeline.topic(&AggregateType::new("bill")?)?, "shop.bill.v1");
/// let json = pipeline.config().to_json(); // for PUT /connectors/NAME/config
/// # assert!(json.contains("\"slot.name\": \"billing_outbox_slot\""));
/// # Ok::<(), outbox_core::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a pipeline comes to be by build()"]
pub struct PipelineBuilder {
    service: Option<String>,
    layout: TableLayout,
    payload: Option<ColumnType>,
    topics: Option<String>,
    options: Vec<(String, String)>,
}

/// The placeholder of the aggregate type in a template of topics.
const AGGREGATE_TYPE: &str = "{aggregate_type}";

const REPLACEMENT: &str = "transforms.outbox.route.topic.replacement";

impl PipelineBuilder {
    fn new() -> Self {
        let layout = TableLayout::recommended();
        Self { service: None, layout, payload: None, topics: None, options: Vec::new() }
    }

    /// Derives the names from the name of the service, 1 to 40 characters of `a-z 0-9 _ -` with a letter first. For
    /// `billing` these are the slot `billing_outbox_slot`, the publication `billing_outbox_publication`, the
    /// `topic.prefix` `billing`, by which heartbeat topics are named, and the topics `billing.events.{aggregate_type}`.
    ///
    /// Slots are unique on a server, and topics in a Kafka cluster: give each service a name.
    pub fn service(self, name: impl Into<String>) -> Self {
        Self { service: Some(name.into()), ..self }
    }

    /// Sets the table; [`TableLayout::recommended`] unless set.
    pub fn layout(self, layout: TableLayout) -> Self {
        Self { layout, ..self }
    }

    /// Sets the life of the rows; that of the layout unless set.
    pub fn row_life(self, row_life: RowLife) -> Self {
        Self { layout: self.layout.with_row_life(row_life), ..self }
    }

    /// Sets the type of the payload's column; that of the layout unless set.
    pub fn payload_type(self, ty: ColumnType) -> Self {
        Self { payload: Some(ty), ..self }
    }

    /// Names the topics by a template with `{aggregate_type}`; `outbox.events.{aggregate_type}` unless set.
    pub fn topics(self, template: impl Into<String>) -> Self {
        Self { topics: Some(template.into()), ..self }
    }

    /// Names the replication slot; `outbox` unless set.
    pub fn slot(self, name: impl Into<String>) -> Self {
        self.option("slot.name", name)
    }

    /// Names the publication; `outbox` unless set.
    pub fn publication(self, name: impl Into<String>) -> Self {
        self.option("publication.name", name)
    }

    /// Sets the `topic.prefix`, which names the connector's own topics, such as those of heartbeats; `outbox` unless
    /// set.
    pub fn topic_prefix(self, prefix: impl Into<String>) -> Self {
        self.option("topic.prefix", prefix)
    }

    /// Sets the largest record that the connector's producer sends and enqueue takes
    /// (`producer.override.max.request.size`); 1 MiB unless set. The topics' `max.message.bytes` must allow it.
    pub fn record_limit(self, bytes: usize) -> Self {
        self.option("producer.override.max.request.size", bytes.to_string())
    }

    /// Sets how often the slot is moved while the outbox is quiet; every 5 s unless set.
    pub fn heartbeat(self, interval: Duration) -> Self {
        self.option("heartbeat.interval.ms", interval.as_millis().to_string())
    }

    /// Sets any other key of the connector's configuration.
    pub fn option(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.options.push((key.into(), value.into()));
        self
    }

    /// Builds the pipeline of the configuration and the table.
    ///
    /// # Errors
    /// A name breaks its rule, or as [`Pipeline::new`].
    pub fn build(self) -> Result<Pipeline, Error> {
        let layout = match self.payload {
            Some(ty) => self.layout.payload_type(ty)?,
            None => self.layout,
        };
        let mut config = ConnectorConfig::recommended(&layout);
        if let Some(service) = &self.service {
            config = named_after(service, config)?;
        }
        if let Some(template) = &self.topics {
            config = config.with(REPLACEMENT, replacement(template)?);
        }

        let config = self.options.into_iter().fold(config, |config, (key, value)| config.with(key, value));
        Pipeline::new(config, layout)
    }
}

/// Options may hold a password.
impl fmt::Debug for PipelineBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options: Vec<_> = self.options.iter().map(|(key, _)| key).collect();
        f.debug_struct("PipelineBuilder")
            .field("service", &self.service)
            .field("layout", &self.layout)
            .field("payload", &self.payload)
            .field("topics", &self.topics)
            .field("options", &options)
            .finish()
    }
}

impl Pipeline {
    /// Creates a builder with the recommended configuration.
    pub fn builder() -> PipelineBuilder {
        PipelineBuilder::new()
    }

    /// Returns the recommended pipeline with names of the service's own, as [`PipelineBuilder::service`] says. The
    /// service that consumes the events builds the same.
    ///
    /// ```
    /// use outbox_core::event::AggregateType;
    /// use outbox_core::Pipeline;
    ///
    /// let pipeline = Pipeline::for_service("billing")?;
    /// assert_eq!(pipeline.slot().as_str(), "billing_outbox_slot");
    /// assert_eq!(pipeline.topic(&AggregateType::new("bill")?)?, "billing.events.bill");
    /// # Ok::<(), outbox_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The name is not 1 to 40 characters of `a-z 0-9 _ -` with a letter first ([`Error::is_configuration`]).
    pub fn for_service(name: &str) -> Result<Self, Error> {
        Self::builder().service(name).build()
    }
}

/// Sets the names that are unique on a server and in a cluster.
fn named_after(service: &str, config: ConnectorConfig) -> Result<ConnectorConfig, Error> {
    let is_legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let begins_with_letter = service.starts_with(|c: char| c.is_ascii_lowercase());
    if service.len() > 40 || !begins_with_letter || !service.chars().all(is_legal) {
        let reason = "a service's name has 1 to 40 characters of a-z, 0-9, _ and -, and begins with a letter";
        return Err(Error::config("(service)", service, reason));
    }

    // A slot's name has no hyphen.
    let in_database = service.replace('-', "_");
    Ok(config
        .with("topic.prefix", service)
        .with("slot.name", format!("{in_database}_outbox_slot"))
        .with("publication.name", format!("{in_database}_outbox_publication"))
        .with(REPLACEMENT, replacement(&format!("{service}.events.{AGGREGATE_TYPE}"))?))
}

/// Returns the RegexRouter's replacement for a template of topics.
fn replacement(template: &str) -> Result<String, Error> {
    let refuse = |reason| Err(Error::config(REPLACEMENT, template, reason));
    let Some((before, after)) = template.split_once(AGGREGATE_TYPE) else {
        return refuse("a template of topics has {aggregate_type} in it: all aggregates would share a topic");
    };
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if !before.chars().chain(after.chars()).all(is_legal) {
        return refuse("a topic's name has the characters A-Z a-z 0-9 . _ - only, and {aggregate_type} once");
    }
    Ok(format!("{before}${{routedByValue}}{after}"))
}
