mod builder;
mod contradictions;
mod found;
mod loss;
mod placed_headers;
mod plan;
mod record_size;

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::connector::{
    AfterRouter, BinaryForm, DecodedMessages, HeaderConverter, JsonForms, KeyConverter, RouterConfig, Transforms,
    ValueConverter, ValueForms, ValueKind,
};
use crate::event::names::topic_legal;
use crate::{
    AggregateType, ColumnType, ConnectorConfig, Error, EventField, Identifier, OutboxEvent, RecordRef, Row, TableLayout,
};

pub use self::builder::PipelineBuilder;
pub(crate) use self::found::Found;
pub use self::loss::Loss;
pub(crate) use self::placed_headers::{HeaderOrder, Target};
pub(crate) use self::plan::Plan;

/// The topics that brokers create for internal use. Kafka rejects records of clients in them, or would read them as its
/// own.
const INTERNAL_TOPICS: [&str; 4] =
    ["__consumer_offsets", "__transaction_state", "__cluster_metadata", "__share_group_state"];

/// The model of an outbox pipeline: a connector's configuration and the table that it reads, free of contradictions.
///
/// DDL, topics, encoding and decoding are all made from it, so that they cannot drift apart. Clones are cheap.
///
/// ```
/// use outbox_core::event::AggregateType;
/// use outbox_core::{ConnectorConfig, Pipeline, TableLayout};
///
/// let layout = TableLayout::recommended();
/// let config = ConnectorConfig::recommended(&layout).with("slot.name", "billing");
/// let pipeline = Pipeline::new(config, layout)?;
/// assert_eq!(pipeline.topic(&AggregateType::new("order")?)?, "outbox.events.order");
/// # Ok::<(), outbox_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Pipeline(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    config: ConnectorConfig,
    layout: TableLayout,
    router: RouterConfig,
    /// The way in which messages are decoded, if there is no table.
    messages: Option<DecodedMessages>,
    after: AfterRouter,
    key_converter: KeyConverter,
    value_converter: ValueConverter,
    header_converter: HeaderConverter,
    forms: ValueForms,
    json_forms: JsonForms,
    plan: Plan,
    topic_prefix: String,
    slot: Identifier,
    publication: Identifier,
    record_limit: usize,
    /// Parts of an event that have a column, and are in no record.
    uncarried: Vec<EventField>,
    /// Headers of an event that have a column, and are in no record.
    uncarried_headers: Vec<Box<str>>,
}

impl Pipeline {
    /// The largest record that enqueue takes unless the configuration or [`with_record_limit`](Self::with_record_limit)
    /// sets another limit: 1 MiB, as Kafka's producers and brokers have it.
    pub const DEFAULT_RECORD_LIMIT: usize = 1_048_576;

    /// Creates the pipeline of a configuration and a table.
    ///
    /// # Errors
    /// They contradict each other, Debezium rejects a value, or the configuration would lose events, payloads or order.
    /// The error names the key or the column, and the reason; [`Error::contradictions`] has all of them. A key that is
    /// unknown is no error.
    pub fn new(config: ConnectorConfig, layout: TableLayout) -> Result<Self, Error> {
        Self::accepting(&[], config, layout)
    }

    /// Creates the same pipeline as [`new`](Self::new), for configurations whose losses are known and wanted.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn accepting(losses: &[Loss], config: ConnectorConfig, layout: TableLayout) -> Result<Self, Error> {
        let mut found = Found::default();
        let transforms = Transforms::of(&config, layout.source(), &mut found);
        let router = transforms.router.and_then(|name| RouterConfig::of(&config, name, &mut found));
        if found.is_empty() {
            found.take(contradictions::in_disposition(&config, transforms.disposition(), &layout));
        }

        let header_converter = found.take(HeaderConverter::of(&config));
        let key_converter = found.take(KeyConverter::of(&config, key_before(&config, router.as_ref(), &layout)));
        let value_converter = found.take(ValueConverter::of(&config, value_before(&config, router.as_ref(), &layout)));
        let forms = found.take(ValueForms::of(&config)).unwrap_or_default();
        contradictions::in_connector(&config, &mut found);
        found.take(contradictions::in_lists(&config, &layout));
        if let (Some(router), Some(messages)) = (&router, transforms.decoded) {
            contradictions::in_messages(router, messages, value_converter, &layout, losses, &mut found);
        }
        if let (Some(router), Some(converter)) = (&router, value_converter) {
            found.take(contradictions::in_payload(router, converter, forms, &layout, losses));
        }

        found.take(contradictions::in_dropped_id(&transforms.after, losses));
        found.take(contradictions::in_changed_values(&transforms.after, value_converter, losses));
        found.take(
            router.as_ref().map_or(Ok(()), |router| {
                contradictions::in_headers(&config, router, (header_converter, forms), &layout)
            }),
        );

        if let (Some(router), Some(key), Some(value)) = (&router, key_converter, value_converter) {
            found.take(contradictions::in_route(router, forms, &layout));
            found.take(contradictions::in_key(router, key, forms, &layout, losses));
            found.take(contradictions::in_forms(router, (key, value), forms, &layout));
            found.take(contradictions::in_rare_types(&config, router, &layout));
        }
        found.take(contradictions::in_heartbeats(&config));
        let plan = router.as_ref().and_then(|router| Plan::new(router, &layout, losses, &mut found));
        let slot = found.take(contradictions::slot(&config));
        let publication = found.take(contradictions::publication(&config));
        let record_limit = found.take(contradictions::record_limit(&config)).flatten();
        let record_limit = record_limit.unwrap_or(Self::DEFAULT_RECORD_LIMIT);
        found.into_result()?;

        let (after, messages) = (transforms.after, transforms.decoded);
        let parts =
            (|| Some((router?, key_converter?, value_converter?, header_converter?, plan?, slot?, publication?)))();

        let Some((router, key_converter, value_converter, header_converter, plan, slot, publication)) = parts else {
            return Err(Error::config("(all)", "", "it is contradictory"));
        };
        let json_forms = JsonForms::of(&config, forms);
        let mut inner = Inner {
            topic_prefix: config.trimmed("topic.prefix").unwrap_or_default().to_owned(),
            slot,
            publication,
            config,
            layout,
            router,
            messages,
            after,
            key_converter,
            value_converter,
            header_converter,
            json_forms,
            forms,
            plan,
            record_limit,
            uncarried: Vec::new(),
            uncarried_headers: Vec::new(),
        };

        if !losses.contains(&Loss::UncarriedParts) {
            let fields = inner.layout.columns().iter().filter_map(crate::Column::field);
            inner.uncarried = fields.filter(|field| !inner.carries(*field)).collect();
            let headers = inner.layout.columns().iter().filter_map(crate::Column::event_header);
            inner.uncarried_headers = headers.filter(|name| !inner.carries_header(name)).map(Box::from).collect();
        }
        Ok(Self(Arc::new(inner)))
    }

    /// Creates the pipeline of a connector's JSON and the table that outbox-pg creates.
    ///
    /// # Errors
    /// As [`new`](Self::new) and [`ConnectorConfig::from_json`].
    pub fn from_connector_json(json: &str) -> Result<Self, Error> {
        Self::new(ConnectorConfig::from_json(json)?, TableLayout::recommended())
    }

    /// Creates the pipeline of [`ConnectorConfig::recommended`] with [`TableLayout::recommended`].
    #[must_use]
    pub fn recommended() -> Self {
        let layout = TableLayout::recommended();
        #[expect(clippy::expect_used, reason = "both are constants of this crate, and a test makes it")]
        Self::new(ConnectorConfig::recommended(&layout), layout).expect("the recommended parts agree")
    }

    /// Sets the largest record that enqueue takes, in bytes as Kafka's producer counts them: key, value, headers and
    /// what surrounds them.
    ///
    /// Without it, it is the configuration's `producer.override.max.request.size`, or
    /// [`DEFAULT_RECORD_LIMIT`](Self::DEFAULT_RECORD_LIMIT). Set it if the Connect worker sets
    /// `producer.max.request.size`, or if the topics' `max.message.bytes` is less.
    #[must_use]
    pub fn with_record_limit(self, bytes: usize) -> Self {
        let mut inner = Arc::unwrap_or_clone(self.0);
        inner.record_limit = bytes;
        Self(Arc::new(inner))
    }

    /// Returns the largest record that enqueue takes, in bytes.
    #[must_use]
    pub fn record_limit(&self) -> usize {
        self.0.record_limit
    }

    /// Returns the connector's configuration.
    #[must_use]
    pub fn config(&self) -> &ConnectorConfig {
        &self.0.config
    }

    /// Returns the outbox table.
    #[must_use]
    pub fn layout(&self) -> &TableLayout {
        &self.0.layout
    }

    /// Returns the replication slot that the connector reads (`slot.name`).
    #[must_use]
    pub fn slot(&self) -> &Identifier {
        &self.0.slot
    }

    /// Returns the publication that the connector reads (`publication.name`).
    #[must_use]
    pub fn publication(&self) -> &Identifier {
        &self.0.publication
    }

    /// Returns the topic of an aggregate type, for pipelines that route by it.
    ///
    /// # Errors
    /// The pipeline routes by another column, or the whole name is no legal name of a topic.
    pub fn topic(&self, aggregate_type: &AggregateType) -> Result<String, Error> {
        let routed_by = self.0.layout.column(&self.0.router.route_by).and_then(|column| column.field());
        if routed_by != Some(crate::EventField::AggregateType) {
            let reason = "events are routed by another column than the aggregate type";
            return Err(Error::config(self.0.router.key_of("route.by.field"), &self.0.router.route_by, reason));
        }
        self.topic_of_route(aggregate_type.as_str(), None)
    }

    /// Returns whether a record reports this part of an event.
    #[must_use]
    pub fn carries(&self, field: EventField) -> bool {
        self.0.carries(field)
    }

    /// Returns whether a topic shows the value that it was routed by.
    pub(crate) fn tells_route(&self) -> bool {
        self.0.tells_route()
    }

    /// Returns the topic of a routed value, for an event with a payload.
    pub(crate) fn topic_of_route(&self, value: &str, timestamp: Option<i64>) -> Result<String, Error> {
        let topic = self.0.router.route.topic(value)?;
        if self.0.after.keeps_topics() {
            return Self::legal_topic(topic);
        }
        let mut record = RecordRef { timestamp, ..RecordRef::of_topic(topic) };
        let names = self.0.plan.headers.iter().map(|target| target.alias.as_str()).chain(["id"]);
        record.headers = names.map(|name| (name, None)).collect();
        self.0.after.apply(&mut record, false)?;
        Self::legal_topic(record.topic)
    }

    pub(crate) fn legal_topic(topic: String) -> Result<String, Error> {
        match topic_legal(&topic) {
            Ok(()) if [".", ".."].contains(&&*topic) => {
                Err(Error::rule("topic", &topic, "Kafka has no topic of this name"))
            }
            Ok(()) if INTERNAL_TOPICS.contains(&&*topic) => {
                Err(Error::rule("topic", &topic, "the topic is one that Kafka keeps its own records in"))
            }
            Ok(()) => Ok(topic),
            Err(rule) => Err(Error::rule("topic", &topic, rule)),
        }
    }

    /// Returns the id of a row's event, as [`event_identity`](crate::record::event_identity) of its header `id` without
    /// a topic; `None` if it is NULL.
    #[must_use]
    pub fn event_id(&self, row: &Row) -> Option<Uuid> {
        let ty = self.0.layout.columns().get(self.0.plan.id)?.ty();
        crate::record::identity_of(self.emitted(row, self.0.plan.id), ty, self.0.forms)
    }

    /// Returns the row that enqueue stores for an event.
    ///
    /// # Errors
    /// The event breaks a rule of this pipeline: the limit of the encoded record, the payload's kind, the length of the
    /// topic's name, what a `jsonb` column or the expansion of JSON refuses, a part that the table has no column for or
    /// that no record carries, an event from the future.
    pub fn row(&self, event: &OutboxEvent) -> Result<Row, Error> {
        self.refuse_uncarried(event)?;
        self.refuse_future(event)?;
        let row = Row::of_event(&self.0.layout, event)?;
        if let Ok(value) = self.route(&row) {
            let timestamp = if self.0.after.keeps_topics() { None } else { self.timestamp(&row)? };
            self.topic_of_route(&value, timestamp)?;
        }
        self.keep_to_limit(&row)?;
        Ok(row)
    }

    fn refuse_uncarried(&self, event: &OutboxEvent) -> Result<(), Error> {
        let rule = "the connector's configuration puts its column into no record, so it would be lost: add it to \
                    table.fields.additional.placement, or accept Loss::UncarriedParts";
        if let Some(field) = event.set_fields().find(|field| self.0.uncarried.contains(field)) {
            return Err(Error::rule(field.name(), "(set)", rule));
        }
        match self.0.uncarried_headers.iter().find(|name| event.headers().get(name).is_some()) {
            Some(name) => Err(Error::rule("headers", name, rule)),
            None => Ok(()),
        }
    }

    /// Rejects an event that is too far in the future. Kafka refuses a record whose timestamp is more than an hour
    /// ahead (`message.timestamp.after.max.ms`), and the connector's task would stop at it, again at every start.
    /// Clocks may differ by the other half.
    fn refuse_future(&self, event: &OutboxEvent) -> Result<(), Error> {
        const AHEAD: time::Duration = time::Duration::minutes(30);
        let at = event.created_at();
        let column = self.0.plan.timestamp.and_then(|index| self.0.layout.columns().get(index));
        let is_record_timestamp = column.is_some_and(|column| column.field() == Some(crate::EventField::CreatedAt));
        if is_record_timestamp && at > time::OffsetDateTime::now_utc() + AHEAD {
            let rule = "it is more than 30 minutes ahead of the clock, and becomes the record's timestamp: \
                        Kafka refuses records from the future";
            return Err(Error::rule("created_at", &at.to_string(), rule));
        }
        Ok(())
    }

    pub(crate) fn router(&self) -> &RouterConfig {
        &self.0.router
    }

    pub(crate) fn messages(&self) -> Option<DecodedMessages> {
        self.0.messages
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.0.plan
    }

    /// Returns a column's value as Connect's `Struct.get` gives it: the schema's default in place of NULL.
    pub(crate) fn emitted<'a>(&'a self, row: &'a crate::Row, index: usize) -> &'a crate::ColumnValue {
        let column = self.0.layout.columns().get(index);
        column.and_then(|column| column.emitted(row.get(index), self.0.forms)).unwrap_or(&crate::ColumnValue::Null)
    }

    pub(crate) fn forms(&self) -> ValueForms {
        self.0.forms
    }

    pub(crate) fn json_forms(&self) -> &JsonForms {
        &self.0.json_forms
    }

    pub(crate) fn key_converter(&self) -> KeyConverter {
        self.0.key_converter
    }

    pub(crate) fn header_converter(&self) -> HeaderConverter {
        self.0.header_converter
    }

    pub(crate) fn after_router(&self) -> &AfterRouter {
        &self.0.after
    }

    pub(crate) fn value_converter(&self) -> ValueConverter {
        self.0.value_converter
    }

    pub(crate) fn topic_prefix(&self) -> &str {
        &self.0.topic_prefix
    }
}

impl Inner {
    fn tells_route(&self) -> bool {
        self.router.route.shows_value() && self.after.keeps_topics()
    }

    fn carries_header(&self, name: &str) -> bool {
        self.plan.headers.iter().chain(&self.plan.envelope).any(|target| target.header.as_deref() == Some(name))
    }

    fn carries(&self, field: EventField) -> bool {
        let plan = &self.plan;
        let at = |index: usize| self.layout.columns().get(index).and_then(|column| column.field()) == Some(field);
        let placed = plan.headers.iter().chain(&plan.envelope).any(|target| target.field == Some(field));
        matches!(field, EventField::Id | EventField::Payload)
            || placed
            || at(plan.key)
            || plan.timestamp.is_some_and(at)
            || (at(plan.route_by) && self.tells_route())
    }
}

/// Returns the form of the value before it is converted.
fn value_before(config: &ConnectorConfig, router: Option<&RouterConfig>, layout: &TableLayout) -> ValueKind {
    let has_bytes = ValueForms::of(config).is_ok_and(|forms| forms.binary == BinaryForm::Bytes);
    let is_bytea =
        has_bytes && layout.column_of(EventField::Payload).is_some_and(|column| column.ty() == ColumnType::Bytea);
    let is_payload = router.is_none_or(|router| !router.has_envelope());
    if is_bytea && is_payload { ValueKind::Bytes } else { ValueKind::Other }
}

/// Returns the form of the key before it is converted.
fn key_before(config: &ConnectorConfig, router: Option<&RouterConfig>, layout: &TableLayout) -> ValueKind {
    let has_bytes = ValueForms::of(config).is_ok_and(|forms| forms.binary == BinaryForm::Bytes);
    let column = router.and_then(|router| layout.column(&router.key));
    let is_bytea = column.is_some_and(|column| column.ty() == ColumnType::Bytea);
    if has_bytes && is_bytea { ValueKind::Bytes } else { ValueKind::Other }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("config", &self.0.config)
            .field("layout", &self.0.layout)
            .field("record_limit", &self.0.record_limit)
            .finish_non_exhaustive()
    }
}
