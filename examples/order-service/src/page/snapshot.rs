use outbox_core::RowLife;
use outbox_kafka_consumer::{EventState, FailedEvent, FailedEventFilter, Group, PartitionStatus};
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::problem::Problem;
use crate::state::AppState;

/// The number of orders and dead letters that the page shows.
const ORDERS: i64 = 8;
const LETTERS: u32 = 20;

/// The contents of the page, except the health indicators.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) ways: Vec<Way>,
    pub(super) partitions: Vec<PartitionStatus>,
    pub(super) letters: Vec<FailedEvent>,
}

/// The way of an order's event, as far as it has come.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) order: i64,
    pub(super) product: i64,
    pub(super) quantity: i32,
    pub(super) created_at: OffsetDateTime,
    pub(super) event: Option<Uuid>,
    pub(super) stored: Stored,
    pub(super) wal: Option<String>,
    /// The time at which the transaction was committed, if the server keeps that (`track_commit_timestamp`).
    pub(super) committed_at: Option<OffsetDateTime>,
    /// Whether the replication slot has confirmed the position in the WAL: Kafka has the record.
    pub(super) is_published: bool,
    pub(super) record: Option<Place>,
    pub(super) effect: Effect,
}

/// The form in which the outbox has the event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stored {
    /// A row that was created at this time.
    Row(OffsetDateTime),
    /// A row that was removed.
    Removed,
    /// A message in the WAL; there is no row.
    Message,
}

/// The place of the event's record in Kafka, known since the consumer has read it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) read_at: Option<OffsetDateTime>,
}

/// The outcome of the event at the consumer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Effect {
    Waiting,
    Done(OffsetDateTime),
    Parked { attempts: u32, at: OffsetDateTime },
    Dead { at: OffsetDateTime },
}

impl Snapshot {
    pub(super) async fn read(state: &AppState) -> Result<Self, Problem> {
        let group = group(state);
        let held = group.list(FailedEventFilter::new(), None, LETTERS).await.map_err(Problem::unavailable)?;
        let partitions = group.status().await.map_err(Problem::unavailable)?;

        let layout = state.pipeline.layout();
        let life = layout.row_life();
        let outbox = match life.has_table() {
            true => layout.qualified_name(),
            // Messages are in no table.
            false => "(SELECT NULL::uuid AS id, NULL::timestamp AS created_at WHERE false)".to_owned(),
        };
        let sql = format!(
            "SELECT o.id, o.product_id, o.quantity, o.created_at, o.event_id, m.created_at AT TIME ZONE 'UTC',
                    o.wal_lsn::text,
                    CASE WHEN current_setting('track_commit_timestamp') = 'on'
                         THEN pg_xact_commit_timestamp(o.xmin) END,
                    coalesce(o.wal_lsn < (SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE slot_name = $2),
                             false),
                    r.topic, r.partition, r.record_offset, r.read_at, r.handled_at
             FROM (SELECT *, xmin FROM order_service.orders ORDER BY id DESC LIMIT $1) o
             LEFT JOIN {outbox} m ON m.id = o.event_id
             LEFT JOIN order_service.received_event r ON r.event_id = o.event_id
             ORDER BY o.id DESC"
        );

        let client = state.pool.get().await?;
        let statement = client.prepare_cached(&sql).await?;
        let rows = client.query(&statement, &[&ORDERS, &state.pipeline.slot().as_str()]).await?;
        let ways = rows.iter().map(|row| Way::of(row, life, &held)).collect::<Result<_, Problem>>()?;

        let letters = held.into_iter().filter(|held| held.state == EventState::Dead).collect();
        Ok(Self { ways, partitions, letters })
    }
}

/// Returns the consumer group that the page shows.
pub(super) fn group(state: &AppState) -> Group {
    Group::new(state.pool.clone(), state.pipeline.layout().schema(), &*state.group)
}

impl Way {
    fn of(row: &Row, life: RowLife, held: &[FailedEvent]) -> Result<Self, Problem> {
        let event: Option<Uuid> = row.try_get(4)?;
        let held = held.iter().find(|held| event.is_some() && held.event_id == event);
        let handled_at: Option<OffsetDateTime> = row.try_get(13)?;
        let (record, effect) = match (handled_at, held) {
            (Some(at), _) => {
                let record = Place {
                    topic: row.try_get(9)?,
                    partition: row.try_get(10)?,
                    offset: row.try_get(11)?,
                    read_at: row.try_get(12)?,
                };
                (Some(record), Effect::Done(at))
            }
            (None, Some(held)) => {
                let read_at = Some(held.first_failed_at);
                let record =
                    Place { topic: held.topic.clone(), partition: held.partition, offset: held.offset, read_at };
                let effect = match held.state {
                    EventState::Dead => Effect::Dead { at: held.last_failed_at },
                    _ => Effect::Parked { attempts: held.attempts, at: held.last_failed_at },
                };
                (Some(record), effect)
            }
            (None, None) => (None, Effect::Waiting),
        };

        let stored = match row.try_get(5)? {
            Some(at) => Stored::Row(at),
            None if life.has_table() => Stored::Removed,
            None => Stored::Message,
        };

        Ok(Self {
            order: row.try_get(0)?,
            product: row.try_get(1)?,
            quantity: row.try_get(2)?,
            created_at: row.try_get(3)?,
            event,
            stored,
            wal: row.try_get(6)?,
            committed_at: row.try_get(7)?,
            is_published: row.try_get::<_, bool>(8)? || record.is_some(),
            record,
            effect,
        })
    }
}
