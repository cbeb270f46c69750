use std::fmt;
use std::marker::PhantomData;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use outbox_core::record::{DecodedEvent, DecodedPayload};
use outbox_core::{EventKind, Identifier, IncomingEvent, Pipeline};
use outbox_kafka::Security;
use outbox_pg::StatementCaching;

use super::Consumer;
use crate::brokers::Brokers;
use crate::driver::{Driver, TokioPostgres};
use crate::handler::{AnyLayer, Registered, Upcasts, side_effect_layer};
use crate::policy::{CircuitBreaker, DeadLetterMode, InitialOffset, Isolation, OnOffsetOutOfRange, RecordPolicy};
use crate::registry::{Registration, Registry};
use crate::runtime::{Options, Shared};
use crate::source::Choice;
use crate::store::{Pool, Store};
use crate::{Error, HandlerError, Reader, RetryPolicy, SideEffectHandler, SideEffectLayer};

/// Collects the parts of a [`Consumer`]; [`build`](Self::build) checks them.
///
/// `D` is the driver of the store and of the handlers' transactions.
#[must_use = "a consumer comes to be by build()"]
pub struct Builder<D: Driver = TokioPostgres> {
    brokers: Vec<String>,
    security: Security,
    reader: Reader,
    pipeline: Option<Pipeline>,
    group: Option<String>,
    pool: Option<Pool>,
    schema: Option<Identifier>,
    statement_caching: StatementCaching,
    custom_settings: Vec<String>,
    lease: Duration,
    concurrency: Option<NonZeroUsize>,
    options: Options,
    registrations: Vec<Registration>,
    otherwise: Vec<Registered>,
    upcasts: Upcasts,
    /// The reason why an upcast cannot be used.
    refused: Option<String>,
    driver: PhantomData<fn() -> D>,
}

impl Consumer {
    /// Starts a consumer of the cluster behind these brokers (`host:port`).
    pub fn builder(brokers: impl IntoIterator<Item = impl Into<String>>) -> Builder {
        Builder::new(brokers.into_iter().map(Into::into).collect())
    }

    /// Starts a consumer whose store is a [`PgPool`](::sqlx::PgPool), and whose [handlers](crate::sqlx) take
    /// transactions of sqlx.
    #[cfg(feature = "sqlx")]
    pub fn sqlx_builder(brokers: impl IntoIterator<Item = impl Into<String>>) -> Builder<crate::Sqlx> {
        Builder::new(brokers.into_iter().map(Into::into).collect())
    }
}

impl<D: Driver> Builder<D> {
    const SHORTEST_LEASE: Duration = Duration::from_secs(1);

    fn new(brokers: Vec<String>) -> Self {
        Self {
            brokers,
            security: Security::new(),
            reader: Reader::default(),
            pipeline: None,
            group: None,
            pool: None,
            schema: None,
            statement_caching: StatementCaching::Cached,
            custom_settings: Vec::new(),
            lease: Duration::from_secs(15),
            concurrency: None,
            options: Options {
                retry: RetryPolicy::default(),
                on_failure: DeadLetterMode::default(),
                on_undecodable_record: RecordPolicy::Stop,
                on_unknown_event: RecordPolicy::Skip,
                on_newer_version: RecordPolicy::Park,
                initial_offset: InitialOffset::default(),
                on_offset_out_of_range: OnOffsetOutOfRange::default(),
                isolation: Isolation::default(),
                partition_concurrency: const { NonZeroUsize::new(4).unwrap() },
                max_batch_size: const { NonZeroUsize::new(256).unwrap() },
                shutdown_timeout: Duration::from_secs(10),
                handler_timeout: Duration::from_secs(60),
                poison_after: const { NonZeroU32::new(3).unwrap() },
                inbox_retention: Duration::from_secs(8 * 24 * 3600),
                dead_letter_retention: None,
                circuit_breaker: None,
                kafka_group: true,
                max_memory: 256 << 20,
                span: None,
                before: None,
                layers: Vec::new(),
                side_effect_layers: Vec::new(),
            },
            registrations: Vec::new(),
            otherwise: Vec::new(),
            upcasts: Upcasts::default(),
            refused: None,
            driver: PhantomData,
        }
    }

    /// Sets the pipeline whose records are read. Required.
    pub fn pipeline(self, pipeline: Pipeline) -> Self {
        Self { pipeline: Some(pipeline), ..self }
    }

    /// Sets TLS and the login for all connections to Kafka; neither by default.
    ///
    /// [`Security::from_properties_file`] takes a Kafka client's properties file. Passwords, tokens and certificates
    /// are read again for each new connection. If a broker rejects them, the consumer logs it and retries.
    pub fn security(self, security: Security) -> Self {
        Self { security, ..self }
    }

    /// Sets the client library that reads the records; [`Reader::Auto`] by default.
    pub fn reader(self, reader: Reader) -> Self {
        Self { reader, ..self }
    }

    /// Sets the name under which positions are kept: consumers of one group share the work, groups do not know each
    /// other. Required.
    pub fn group(self, group: impl Into<String>) -> Self {
        Self { group: Some(group.into()), ..self }
    }

    /// Sets the schema of the consumer's tables, see [`migrations`](crate::migrations); `outbox` unless set.
    pub fn schema(self, schema: Identifier) -> Self {
        Self { schema: Some(schema), ..self }
    }

    /// Sets how the consumer's own statements are sent: [`Cached`](StatementCaching::Cached) unless set;
    /// [`Unnamed`](StatementCaching::Unnamed) works through PgBouncer in transaction mode.
    pub fn statement_caching(self, caching: StatementCaching) -> Self {
        Self { statement_caching: caching, ..self }
    }

    /// Registers a handler with effects outside of PostgreSQL, which happen at least once. It is the only one of its
    /// event type; use another group for others.
    pub fn on_side_effect<M: 'static, H: SideEffectHandler<M>>(self, handler: H) -> Self {
        self.register::<H::Event>(&Registered::side_effect(handler))
    }

    /// Adds middleware around each call of a handler with effects outside of PostgreSQL. The first layer is the
    /// outermost.
    pub fn layer_side_effect<M: 'static, L: SideEffectLayer<M>>(mut self, layer: L) -> Self {
        self.options.side_effect_layers.push(side_effect_layer(layer));
        self
    }

    /// Sets how the payload of an older [`SCHEMA_VERSION`](IncomingEvent::SCHEMA_VERSION) becomes the event of today.
    /// Without it, an older payload is read as if it were of today.
    ///
    /// ```
    /// # use outbox_core::record::DecodedPayload;
    /// # use outbox_core::IncomingEvent;
    /// # use outbox_kafka_consumer::{Builder, HandlerError};
    /// # #[derive(serde::Deserialize)] struct Paid { cents: i64 }
    /// # impl IncomingEvent for Paid {
    /// #     const AGGREGATE_TYPE: &'static str = "order";
    /// #     const EVENT_TYPE: &'static str = "Paid";
    /// # }
    /// #[derive(serde::Deserialize)]
    /// struct PaidInEuros {
    ///     euros: i64,
    /// }
    ///
    /// fn paid(_version: u32, payload: &DecodedPayload) -> Result<Paid, HandlerError> {
    ///     Ok(Paid { cents: payload.json::<PaidInEuros>()?.euros * 100 })
    /// }
    ///
    /// # fn example(builder: Builder) -> Builder {
    /// builder.upcast(paid)
    /// # }
    /// ```
    pub fn upcast<E: IncomingEvent + 'static>(
        mut self,
        upcast: impl Fn(u32, &DecodedPayload) -> Result<E, HandlerError> + Send + Sync + 'static,
    ) -> Self {
        const { assert!(E::KINDS.len() == 1, "for an enum of events, call upcast_of with the event type") }
        if let Some(kind) = E::KINDS.first() {
            self.add_upcast(*kind, upcast);
        }
        self
    }

    /// Adds an [`upcast`](Self::upcast) for one event type of an enum of events.
    pub fn upcast_of<E: IncomingEvent + 'static>(
        mut self,
        event_type: &str,
        upcast: impl Fn(u32, &DecodedPayload) -> Result<E, HandlerError> + Send + Sync + 'static,
    ) -> Self {
        match E::KINDS.iter().find(|kind| kind.event_type() == event_type) {
            Some(kind) => self.add_upcast(*kind, upcast),
            None => self.refused = Some(format!("{event_type} is no event type of {}", E::EVENT_TYPE)),
        }
        self
    }

    fn add_upcast<E: IncomingEvent + 'static>(
        &mut self,
        kind: EventKind,
        upcast: impl Fn(u32, &DecodedPayload) -> Result<E, HandlerError> + Send + Sync + 'static,
    ) {
        if !self.upcasts.add(kind, upcast) {
            self.refused = Some(format!("two upcasts are registered for {}", kind.event_type()));
        }
    }

    /// Sets when an event that failed is tried again, and how often.
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.options.retry = policy;
        self
    }

    /// Sets what happens to the key of an event whose attempts are used up: it is blocked by default.
    pub fn on_failure(mut self, then: DeadLetterMode) -> Self {
        self.options.on_failure = then;
        self
    }

    /// Sets the policy for a record that is not of this pipeline, and for a payload that is not its handler's
    /// event: the partition stops, unless set.
    pub fn on_undecodable_record(mut self, then: RecordPolicy) -> Self {
        self.options.on_undecodable_record = then;
        self
    }

    /// Sets the policy for an event without a handler; [`RecordPolicy::Skip`] by default, because most consumers handle
    /// a part of a topic's events.
    ///
    /// An event is only skipped if no consumer of the group has a handler for it. Otherwise it is
    /// [parked](RecordPolicy::Park), so that a rolling update that adds a handler loses nothing. Consumers that have
    /// ended within the last hour count too. A skipped event is counted by `outbox_consumer_ignored_total`, and the log
    /// names each type once.
    pub fn on_unknown_event(mut self, then: RecordPolicy) -> Self {
        self.options.on_unknown_event = then;
        self
    }

    /// Sets the policy for an event whose schema version is newer than its handler's; [`RecordPolicy::Park`] by
    /// default, so that it waits for the newer version of the program. With [`RecordPolicy::Skip`] it is counted by
    /// `outbox_consumer_ignored_total`, and the log names each version once at level `WARN`.
    pub fn on_newer_version(mut self, then: RecordPolicy) -> Self {
        self.options.on_newer_version = then;
        self
    }

    /// Sets where the group begins in a partition that it has never read: at the earliest record, unless set.
    pub fn initial_offset(mut self, start: InitialOffset) -> Self {
        self.options.initial_offset = start;
        self
    }

    /// Sets the policy if the topic does not hold the group's position any more: the partition stops, unless set.
    pub fn on_offset_out_of_range(mut self, then: OnOffsetOutOfRange) -> Self {
        self.options.on_offset_out_of_range = then;
        self
    }

    /// Sets the isolation level of the handlers' transactions; [`Isolation::ReadCommitted`] by default, whatever the
    /// default of the database or the role.
    ///
    /// At a stricter level transactions fail because of others that run at the same time. A handler is then called
    /// again, up to 20 times within some seconds, before this counts as a failure of its event. The fewer
    /// [workers](Self::partition_concurrency) and the smaller the [batches](Self::max_batch_size), the fewer conflicts
    /// there are.
    pub fn isolation(mut self, level: Isolation) -> Self {
        self.options.isolation = level;
        self
    }

    /// Sets how long a partition stays with a consumer that does not renew its lease; 15 s unless set, 1 s at least. It
    /// bounds how long a partition is stopped after its consumer has died. A statement of a handler, or a pause
    /// between two, may take nearly half of it.
    pub fn lease_ttl(self, lease: Duration) -> Self {
        Self { lease, ..self }
    }

    /// Sets the number of workers that apply the events of a partition at a time, an aggregate's always in the
    /// same; 4 unless set.
    pub fn partition_concurrency(mut self, lanes: NonZeroUsize) -> Self {
        self.options.partition_concurrency = lanes;
        self
    }

    /// Sets how many transactions and calls of handlers run at a time in this process, for all partitions; by default
    /// one less than the [pool](Self::pool) has connections. Each uses one connection at most.
    pub fn concurrency(self, concurrency: NonZeroUsize) -> Self {
        Self { concurrency: Some(concurrency), ..self }
    }

    /// Sets how many bytes of records this process holds that were fetched and are not handled yet, for all partitions;
    /// 256 MiB by default. A partition that gets nothing of it for a second, because paused topics hold it, reads one
    /// fetch at a time. Fetches have, in addition, up to as much memory: 64 MiB for all partitions of the native
    /// reader, and 4 MiB for each of rskafka, or less if this setting is less.
    pub fn max_memory(mut self, bytes: u32) -> Self {
        self.options.max_memory = bytes.max(1);
        self
    }

    /// Pauses an event type when its events fail one after the other; never by default.
    pub fn circuit_breaker(mut self, breaker: CircuitBreaker) -> Self {
        self.options.circuit_breaker = Some(breaker);
        self
    }

    /// Disables the Kafka consumer group. By default positions are committed every 5 s as those of a Kafka consumer
    /// group of the same name, which `kafka-consumer-groups`, KEDA and lag exporters read. The consumer never reads
    /// them.
    pub fn without_kafka_group(mut self) -> Self {
        self.options.kafka_group = false;
        self
    }

    /// Sets how many events share a transaction at most, if that many are waiting; 256 by default. After a conflict
    /// with another transaction it is half as many, and slowly more again.
    /// [`HandlerPolicy::max_batch_size`](crate::HandlerPolicy::max_batch_size) limits it for one handler.
    pub fn max_batch_size(mut self, events: NonZeroUsize) -> Self {
        self.options.max_batch_size = events;
        self
    }

    /// Sets how long the handlers that run at shutdown may continue; 10 s unless set.
    pub fn shutdown_timeout(mut self, patience: Duration) -> Self {
        self.options.shutdown_timeout = patience;
        self
    }

    /// Sets how long a handler may take; 60 s unless set.
    pub fn handler_timeout(mut self, patience: Duration) -> Self {
        self.options.handler_timeout = patience;
        self
    }

    /// Sets how many times in a row the process must end while it handles one event alone before that event becomes a
    /// dead letter; 3 by default. It cannot be 0, because then every event after a crash would be one:
    ///
    /// ```compile_fail,E0308
    /// # fn example(builder: outbox_kafka_consumer::Builder) {
    /// builder.poison_after(0);
    /// # }
    /// ```
    pub fn poison_after(mut self, times: NonZeroU32) -> Self {
        self.options.poison_after = times;
        self
    }

    /// Names settings of the database session that PostgreSQL does not list, such as `app.tenant`: the consumer checks
    /// that handlers change them for their transaction only. None by default.
    pub fn custom_settings(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.custom_settings.extend(names.into_iter().map(Into::into));
        self
    }

    /// Sets how long the inbox remembers a handled event; 8 days unless set. It has to be longer than records stay in
    /// the topics (`retention.ms`, 7 days unless set there); the log warns at the start if it is not.
    pub fn inbox_retention(mut self, retention: Duration) -> Self {
        self.options.inbox_retention = retention;
        self
    }

    /// Sets how long a dead letter is kept after its last failure; without limit by default. Then it is discarded, as
    /// by [`Group::discard`](crate::Group::discard): its effect never happens, and the later events of its key are
    /// handled.
    pub fn dead_letter_retention(mut self, retention: Duration) -> Self {
        self.options.dead_letter_retention = Some(retention);
        self
    }

    /// Sets a function that is called with the span of each event before its handler, to make it a child of the event's
    /// trace, for example: `on_span(|span, event| event.continue_trace(span))`, with the feature
    /// `tracing-opentelemetry` of `outbox-core`.
    pub fn on_span(mut self, hook: impl Fn(&tracing::Span, &DecodedEvent) + Send + Sync + 'static) -> Self {
        self.options.span = Some(Arc::new(hook));
        self
    }

    pub(super) fn stored_in(self, pool: Pool) -> Self {
        Self { pool: Some(pool), ..self }
    }

    pub(super) fn layered(mut self, layer: Arc<dyn AnyLayer>) -> Self {
        self.options.layers.push(layer);
        self
    }

    pub(super) fn hooked(mut self, hook: Registered) -> Self {
        self.options.before = Some(hook);
        self
    }

    pub(super) fn register<E: IncomingEvent>(mut self, handler: &Registered) -> Self {
        let () = E::LEGAL;
        self.registrations.extend(E::KINDS.iter().map(|kind| Registration {
            aggregate_type: E::AGGREGATE_TYPE.to_owned(),
            event_type: kind.event_type().to_owned(),
            version: Some(kind.schema_version()),
            handler: handler.clone(),
        }));
        self
    }

    pub(super) fn register_raw(mut self, aggregate_type: String, event_type: String, handler: Registered) -> Self {
        self.registrations.push(Registration { aggregate_type, event_type, version: None, handler });
        self
    }

    pub(super) fn register_otherwise(mut self, handler: Registered) -> Self {
        self.otherwise.push(handler);
        self
    }

    /// Checks the parts. No connection is opened yet.
    ///
    /// # Errors
    /// A required part is missing, two handlers are registered for one event, or the pipeline does not say where an
    /// event is ([`Error::is_build`]).
    pub fn build(self) -> Result<Consumer, Error> {
        fn required<T>(part: Option<T>, method: &str) -> Result<T, Error> {
            part.ok_or_else(|| Error::build(format!("call {method} before build")))
        }

        if self.brokers.iter().all(|broker| broker.trim().is_empty()) {
            return Err(Error::build("no broker is given: pass at least one host:port"));
        }
        if self.lease < Self::SHORTEST_LEASE {
            return Err(Error::build(format!("the lease is shorter than {:?}", Self::SHORTEST_LEASE)));
        }
        if self.otherwise.len() > 1 {
            return Err(Error::build("two handlers are registered for all other events"));
        }
        if let Some(reason) = self.refused {
            return Err(Error::build(reason));
        }

        let pipeline = required(self.pipeline, "pipeline")?;
        let group = required(self.group.filter(|group| !group.is_empty()), "group")?;
        let pool = required(self.pool, "store")?;
        let schema = match self.schema {
            Some(schema) => schema,
            None => Identifier::new("outbox").map_err(|e| Error::build("no schema").caused_by(e))?,
        };
        // One connection is left for statements that are not of a handler.
        let concurrency = self.concurrency.map_or_else(|| pool.max_size().saturating_sub(1).max(1), NonZeroUsize::get);

        let cluster = Choice::new(self.reader, &Brokers::new(self.brokers, self.security), self.options.max_memory);
        let registry = Registry::new(&pipeline, self.registrations, self.otherwise.into_iter().next())?;
        let store = Store::new(pool, &schema, group, self.lease, self.statement_caching);
        let store = store.with_custom_settings(self.custom_settings);
        let shared = Shared::new(cluster, pipeline, registry, self.upcasts, store, self.options, concurrency);
        Ok(Consumer::new(Arc::new(shared)))
    }
}

impl<D: Driver> fmt::Debug for Builder<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("brokers", &self.brokers)
            .field("group", &self.group)
            .field("handlers", &self.registrations.len())
            .finish_non_exhaustive()
    }
}
