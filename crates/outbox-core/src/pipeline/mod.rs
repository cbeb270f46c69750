mod contradictions;
mod found;
mod placed_headers;
mod plan;

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::connector::{
    AfterRouter, BinaryForm, HeaderConverter, KeyConverter, RouterConfig, Transforms, Value, ValueConverter, ValueForms,
};
use crate::event::names::topic_legal;
use crate::{
    AggregateType, ColumnType, ConnectorConfig, Error, EventField, Identifier, OutboxEvent, RecordRef, Row, TableLayout,
};

pub(crate) use self::found::Found;
pub(crate) use self::placed_headers::HeaderOrder;
pub(crate) use self::plan::{Plan, Target};

/// The one truth of an outbox pipeline: a connector's configuration and the table that it reads, free of
/// contradictions.
///
/// DDL, topics, encoding and decoding are all made from it, so that they cannot drift apart. Clones are cheap.
///
/// ```
/// use outbox_core::{AggregateType, ConnectorConfig, Pipeline, TableLayout};
///
/// let layout = TableLayout::recommended();
/// let config = ConnectorConfig::recommended(&layout).with("slot.name", "billing");
/// let pipeline = Pipeline::new(config, layout)?;
/// assert_eq!(pipeline.topic(&AggregateType::new("order")?)?, "outbox.events.order");
/// # Ok::<(), outbox_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Pipeline(Arc<Inner>);

struct Inner {
    config: ConnectorConfig,
    layout: TableLayout,
    router: RouterConfig,
    after: AfterRouter,
    key_converter: KeyConverter,
    value_converter: ValueConverter,
    header_converter: HeaderConverter,
    forms: ValueForms,
    plan: Plan,
    topic_prefix: String,
    slot: Identifier,
    publication: Identifier,
    payload_limit: usize,
}

/// A loss that a pipeline has by its configuration, and that has to be accepted by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// `table.expand.json.payload`: null members and empty arrays vanish, numbers are rewritten, and some payloads
    /// stop the connector's task for good (integers beyond 64 bits, arrays at the top, objects of unlike members).
    JsonExpansion,
    /// Columns that may be NULL as key, as header or to route by, as Debezium takes them: an event with a null key has no
    /// order, some clients cannot read a header with a null value, and a row that is routed by NULL has no record.
    NullableColumns,
}

impl Pipeline {
    /// The largest payload that enqueue takes unless told otherwise, in bytes: with key and headers it fits in the
    /// record that a Kafka producer and broker take by default (1 MiB).
    pub const DEFAULT_PAYLOAD_LIMIT: usize = 1_000_000;

    /// Brings configuration and table together.
    ///
    /// # Errors
    /// They contradict each other, or the configuration would lose events, payloads or order. The error names the
    /// key or the column, and the reason; [`Error::contradictions`] has all of them.
    pub fn new(config: ConnectorConfig, layout: TableLayout) -> Result<Self, Error> {
        Self::accepting(&[], config, layout)
    }

    /// As [`new`](Self::new), for configurations whose losses are known and wanted.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn accepting(losses: &[Loss], config: ConnectorConfig, layout: TableLayout) -> Result<Self, Error> {
        let mut found = Found::default();
        let transforms = Transforms::of(&config, (layout.schema().as_str(), layout.table().as_str()), &mut found);
        let router = transforms.router.and_then(|name| RouterConfig::of(&config, name, &mut found));
        if found.is_empty() {
            found.take(contradictions::in_disposition(&config, transforms.disposition(), &layout));
        }
        let header_converter = found.take(HeaderConverter::of(&config));
        let key_converter = found.take(KeyConverter::of(&config));
        let value_converter = found.take(ValueConverter::of(&config, value_before(&config, router.as_ref(), &layout)));
        let forms = found.take(ValueForms::of(&config)).unwrap_or_default();
        contradictions::in_connector(&config, &mut found);
        found.take(contradictions::in_lists(&config, &layout));
        if let (Some(router), Some(converter)) = (&router, value_converter) {
            found.take(contradictions::in_payload(router, converter, forms, &layout, losses));
        }
        found.take(
            router
                .as_ref()
                .map_or(Ok(()), |router| contradictions::in_headers(&config, router, header_converter, &layout)),
        );
        if let (Some(router), Some(key), Some(value)) = (&router, key_converter, value_converter) {
            found.take(contradictions::in_forms(router, (key, value), forms, &layout));
        }
        found.take(contradictions::in_heartbeats(&config));
        let plan = router.as_ref().and_then(|router| Plan::new(router, &layout, losses, &mut found));
        let slot = found.take(contradictions::slot(&config));
        let publication = found.take(contradictions::publication(&config));
        found.into_result()?;

        let after = transforms.after;
        let parts =
            (|| Some((router?, key_converter?, value_converter?, header_converter?, plan?, slot?, publication?)))();
        let Some((router, key_converter, value_converter, header_converter, plan, slot, publication)) = parts else {
            return Err(Error::config("(all)", "", "it is contradictory"));
        };
        Ok(Self(Arc::new(Inner {
            topic_prefix: config.trimmed("topic.prefix").unwrap_or_default().to_owned(),
            slot,
            publication,
            config,
            layout,
            router,
            after,
            key_converter,
            value_converter,
            header_converter,
            forms,
            plan,
            payload_limit: Self::DEFAULT_PAYLOAD_LIMIT,
        })))
    }

    /// The pipeline of a connector's JSON and the table that outbox-pg creates.
    ///
    /// # Errors
    /// As [`new`](Self::new) and [`ConnectorConfig::from_json`].
    pub fn from_connector_json(json: &str) -> Result<Self, Error> {
        Self::new(ConnectorConfig::from_json(json)?, TableLayout::recommended())
    }

    /// [`ConnectorConfig::recommended`] with [`TableLayout::recommended`].
    #[must_use]
    pub fn recommended() -> Self {
        let layout = TableLayout::recommended();
        #[expect(clippy::expect_used, reason = "both are constants of this crate, and a test makes it")]
        Self::new(ConnectorConfig::recommended(&layout), layout).expect("the recommended parts agree")
    }

    /// Sets the largest payload that enqueue takes, in bytes.
    #[must_use]
    pub fn payload_limit(self, bytes: usize) -> Self {
        let inner = self.0;
        Self(Arc::new(Inner {
            config: inner.config.clone(),
            layout: inner.layout.clone(),
            router: inner.router.clone(),
            after: inner.after.clone(),
            plan: inner.plan.clone(),
            topic_prefix: inner.topic_prefix.clone(),
            slot: inner.slot.clone(),
            publication: inner.publication.clone(),
            payload_limit: bytes,
            ..*inner
        }))
    }

    /// The connector's configuration.
    #[must_use]
    pub fn config(&self) -> &ConnectorConfig {
        &self.0.config
    }

    /// The outbox table.
    #[must_use]
    pub fn layout(&self) -> &TableLayout {
        &self.0.layout
    }

    /// The replication slot that the connector reads (`slot.name`).
    #[must_use]
    pub fn slot(&self) -> &Identifier {
        &self.0.slot
    }

    /// The publication that the connector reads (`publication.name`).
    #[must_use]
    pub fn publication(&self) -> &Identifier {
        &self.0.publication
    }

    /// The topic of an aggregate type, for pipelines that route by it.
    ///
    /// # Errors
    /// The pipeline routes by another column, or the whole name is no legal name of a topic.
    pub fn topic(&self, aggregate_type: &AggregateType) -> Result<String, Error> {
        let routed_by = self.0.layout.column(&self.0.router.route_by).and_then(|column| column.field());
        if routed_by != Some(crate::EventField::AggregateType) {
            let reason = "events are routed by another column than the aggregate type";
            return Err(Error::config(self.0.router.key_of("route.by.field"), &self.0.router.route_by, reason));
        }
        self.topic_of_route(aggregate_type.as_str())
    }

    /// Whether a record tells this part of an event.
    #[must_use]
    pub fn carries(&self, field: crate::EventField) -> bool {
        let plan = &self.0.plan;
        let at = |index: usize| self.0.layout.columns().get(index).and_then(|column| column.field()) == Some(field);
        let placed = plan.headers.iter().chain(&plan.envelope).any(|target| target.field == Some(field));
        matches!(field, crate::EventField::Id | crate::EventField::Payload)
            || placed
            || at(plan.key)
            || plan.timestamp.is_some_and(at)
            || (at(plan.route_by) && self.tells_route())
    }

    /// Returns whether a topic shows the value that it was routed by.
    pub(crate) fn tells_route(&self) -> bool {
        self.0.router.route.tells_value() && self.0.after.keeps_topics()
    }

    /// Returns the topic of a routed value, for an event with a payload.
    pub(crate) fn topic_of_route(&self, value: &str) -> Result<String, Error> {
        let mut record = RecordRef::of_topic(self.0.router.route.topic(value));
        let names = self.0.plan.headers.iter().map(|target| target.alias.as_str()).chain(["id"]);
        record.headers = names.map(|name| (name, None)).collect();
        _ = self.0.after.apply(&mut record, false);
        Self::legal_topic(record.topic)
    }

    pub(crate) fn legal_topic(topic: String) -> Result<String, Error> {
        match topic_legal(&topic) {
            Ok(()) if topic != "." && topic != ".." => Ok(topic),
            Ok(()) => Err(Error::rule("topic", &topic, "Kafka has no topic of this name")),
            Err(rule) => Err(Error::rule("topic", &topic, rule)),
        }
    }

    /// Returns the id of a row's event, as [`event_identity`](crate::event_identity) of its header `id` without a topic; none
    /// if it is NULL.
    #[must_use]
    pub fn event_id(&self, row: &Row) -> Option<Uuid> {
        let ty = self.0.layout.columns().get(self.0.plan.id)?.ty();
        crate::record::identity_of(self.emitted(row, self.0.plan.id), ty, self.0.forms)
    }

    /// The row that enqueue stores for an event.
    ///
    /// # Errors
    /// The event breaks a rule of this pipeline: the payload's limit or kind, the length of the topic's name, what
    /// a `jsonb` column refuses, a part that the table has no column for, an event from the future.
    pub fn row(&self, event: &OutboxEvent) -> Result<Row, Error> {
        let size = event.payload().len();
        if size > self.0.payload_limit {
            let rule = format!("a payload has at most {} bytes in this pipeline", self.0.payload_limit);
            return Err(Error::rule("payload", &format!("({size} bytes)"), rule));
        }
        self.refuse_future(event)?;
        let row = Row::of_event(&self.0.layout, event)?;
        if let crate::ColumnValue::Text(value) = row.get(self.0.plan.route_by) {
            self.topic_of_route(value)?;
        }
        Ok(row)
    }

    /// Kafka refuses a record whose timestamp is more than an hour ahead (`message.timestamp.after.max.ms`), and the
    /// connector's task would stop at it, again at every start. Clocks may differ by the other half.
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

    pub(crate) fn plan(&self) -> &Plan {
        &self.0.plan
    }

    /// A column's value as Connect's `Struct.get` gives it: the schema's default in the place of NULL.
    pub(crate) fn emitted<'a>(&'a self, row: &'a crate::Row, index: usize) -> &'a crate::ColumnValue {
        match row.get(index) {
            crate::ColumnValue::Null => self.0.layout.columns().get(index).and_then(crate::Column::default),
            value => Some(value),
        }
        .unwrap_or(&crate::ColumnValue::Null)
    }

    pub(crate) fn forms(&self) -> ValueForms {
        self.0.forms
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

/// Returns what the value is before it is converted.
fn value_before(config: &ConnectorConfig, router: Option<&RouterConfig>, layout: &TableLayout) -> Value {
    let has_bytes = ValueForms::of(config).is_ok_and(|forms| forms.binary == BinaryForm::Bytes);
    let is_bytea =
        has_bytes && layout.column_of(EventField::Payload).is_some_and(|column| column.ty() == ColumnType::Bytea);
    let is_payload = router.is_none_or(|router| !router.has_envelope());
    if is_bytea && is_payload { Value::Bytes } else { Value::Other }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("config", &self.0.config)
            .field("layout", &self.0.layout)
            .field("payload_limit", &self.0.payload_limit)
            .finish_non_exhaustive()
    }
}
