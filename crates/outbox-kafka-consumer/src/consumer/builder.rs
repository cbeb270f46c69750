use std::fmt;
use std::sync::Arc;

use deadpool_postgres::Pool;
use outbox_core::{DomainEvent, Identifier, Pipeline};

use super::{Consumer, Shared};
use crate::handler::{raw, typed};
use crate::kafka::Cluster;
use crate::position::Positions;
use crate::registry::{Registration, Registry};
use crate::{Error, Handler, RawHandler};

/// Collects the parts of a [`Consumer`]; [`build`](Self::build) checks them.
#[must_use = "a consumer comes to be by build()"]
pub struct Builder {
    brokers: Vec<String>,
    pipeline: Option<Pipeline>,
    group: Option<String>,
    pool: Option<Pool>,
    schema: Option<Identifier>,
    registrations: Vec<Registration>,
}

impl Builder {
    pub(super) fn new(brokers: Vec<String>) -> Self {
        Self { brokers, pipeline: None, group: None, pool: None, schema: None, registrations: Vec::new() }
    }

    /// The pipeline whose records are read. Required.
    pub fn pipeline(self, pipeline: Pipeline) -> Self {
        Self { pipeline: Some(pipeline), ..self }
    }

    /// The name under which positions are kept: consumers of one group share the work, groups do not know each other.
    /// Required.
    pub fn group(self, group: impl Into<String>) -> Self {
        Self { group: Some(group.into()), ..self }
    }

    /// Where the handlers' effects and the positions go. Required. A handler holds one connection while it runs.
    pub fn store(self, pool: Pool) -> Self {
        Self { pool: Some(pool), ..self }
    }

    /// The schema of the consumer's tables, see [`migrations`](crate::migrations); `outbox` unless set.
    pub fn schema(self, schema: Identifier) -> Self {
        Self { schema: Some(schema), ..self }
    }

    /// Registers a handler for the event type that it takes.
    pub fn on<M: 'static, H: Handler<M>>(self, handler: H) -> Self {
        let (aggregate_type, event_type) = (H::Event::AGGREGATE_TYPE, H::Event::EVENT_TYPE);
        self.register(Registration {
            aggregate_type: aggregate_type.to_owned(),
            event_type: event_type.to_owned(),
            handler: typed(handler),
        })
    }

    /// Registers a handler that reads the payload itself, from [`Received::envelope`](crate::Received::envelope).
    pub fn on_raw<M: 'static, H: RawHandler<M>>(
        self,
        aggregate_type: impl Into<String>,
        event_type: impl Into<String>,
        handler: H,
    ) -> Self {
        self.register(Registration {
            aggregate_type: aggregate_type.into(),
            event_type: event_type.into(),
            handler: raw(handler),
        })
    }

    fn register(mut self, registration: Registration) -> Self {
        self.registrations.push(registration);
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
        let pipeline = required(self.pipeline, "pipeline")?;
        let group = required(self.group.filter(|group| !group.is_empty()), "group")?;
        let pool = required(self.pool, "store")?;
        let schema = match self.schema {
            Some(schema) => schema,
            None => Identifier::new("outbox").map_err(|e| Error::build("no schema").caused_by(e))?,
        };
        Ok(Consumer {
            shared: Arc::new(Shared {
                cluster: Cluster::new(self.brokers),
                registry: Registry::new(&pipeline, self.registrations)?,
                positions: Positions { pool, schema, group },
                pipeline,
            }),
        })
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("brokers", &self.brokers)
            .field("group", &self.group)
            .field("handlers", &self.registrations.len())
            .finish_non_exhaustive()
    }
}
