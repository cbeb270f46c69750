use std::time::Duration;

use outbox_core::layout::EventField;
use outbox_core::time::OffsetDateTime;
use outbox_core::uuid::Uuid;
use outbox_core::{EventId, Pipeline};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, IsolationLevel};

use crate::Error;
use crate::history::{History, in_gaps};
use crate::maintenance::first_id;
use crate::migration::row_life::id;
use crate::readiness::{Problem, slot_problem};
use crate::session::{DriverError, Row, Session};
use crate::sql_text::{companion, quoted};

/// Publishes rows of a kept table again, next to live traffic, through the same slot, connector or relay.
///
/// Each event keeps its id, so that a consumer with an inbox applies it once. If the table has a column for headers,
/// the event's own header [`HEADER`](Self::HEADER) names the replay. A batch is one transaction that deletes its rows
/// and inserts them again, in the order of their ids, which is that of each aggregate as long as the hosts' clocks
/// agree. Events that are enqueued meanwhile are published in between: an old event of an aggregate may follow a newer
/// one.
///
/// The role owns the table. [`Migrations::outbox`](crate::Migrations::outbox) creates `<table>_replays`, where the
/// progress is.
///
/// ```no_run
/// # use outbox_core::Pipeline;
/// # use outbox_pg::{Error, Republish, SlotOptions, tokio_postgres::Client};
/// # async fn example(client: &mut Client, pipeline: Pipeline) -> Result<(), Error> {
/// // The slot was lost: what was committed since is still in the table.
/// SlotOptions::default().recreate().create(client, &pipeline).await?;
/// let progress = Republish::missed(pipeline).run(client, "slot lost in May").await?;
/// println!("{} events", progress.events);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Republish {
    pipeline: Pipeline,
    rows: Rows,
    from: Option<u64>,
    to: Option<u64>,
    equal: Vec<(EventField, String)>,
    ids: Vec<Uuid>,
    batch: u32,
    pub(crate) pause: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    All,
    Missed,
}

/// The progress of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplayProgress {
    /// The number of events that are published again so far, over all runs of the replay's name.
    pub events: u64,
    /// The id of the last one.
    pub last_id: Option<EventId>,
    /// Whether no event is left.
    pub is_finished: bool,
}

/// A replay that was begun, as [`Republish::list`] finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Replay {
    /// The name by which the replay is continued.
    pub name: String,
    /// Its progress.
    pub progress: ReplayProgress,
    /// The time at which its first batch was begun.
    pub started_at: OffsetDateTime,
    /// The time at which its last batch was committed.
    pub finished_at: Option<OffsetDateTime>,
}

/// The longest name of a replay: the record of an event has room for it.
const LONGEST_NAME: usize = 100;

impl Republish {
    /// The event's header that names the replay which has published it again.
    pub const HEADER: &'static str = "outbox-replay";

    /// Publishes all rows, or those that [`from`](Self::from_time) and the other filters choose.
    #[must_use]
    pub fn rows(pipeline: Pipeline) -> Self {
        Self {
            pipeline,
            rows: Rows::All,
            from: None,
            to: None,
            equal: Vec::new(),
            ids: Vec::new(),
            batch: 500,
            pause: Duration::ZERO,
        }
    }

    /// Publishes the rows that no slot has published, as far as is known: those committed after the last confirmed
    /// position of a slot and before the creation of the next one, and those that were in the table before the first
    /// slot. Some may have been published.
    #[must_use]
    pub fn missed(pipeline: Pipeline) -> Self {
        Self { rows: Rows::Missed, ..Self::rows(pipeline) }
    }

    /// Chooses only events from this time on, by the time in their ids.
    #[must_use]
    pub fn from_time(self, from: OffsetDateTime) -> Self {
        Self { from: Some(millis(from)), ..self }
    }

    /// Chooses only events before this time, by the time in their ids.
    #[must_use]
    pub fn to_time(self, to: OffsetDateTime) -> Self {
        Self { to: Some(millis(to)), ..self }
    }

    /// Chooses only this event; may be called several times.
    #[must_use]
    pub fn id(mut self, id: EventId) -> Self {
        self.ids.push(id.as_uuid());
        self
    }

    /// Chooses only events of this aggregate type.
    #[must_use]
    pub fn aggregate_type(self, aggregate_type: impl Into<String>) -> Self {
        self.equal(EventField::AggregateType, aggregate_type.into())
    }

    /// Chooses only events of aggregates with this id.
    #[must_use]
    pub fn aggregate_id(self, id: impl Into<String>) -> Self {
        self.equal(EventField::AggregateId, id.into())
    }

    /// Chooses only events of this type.
    #[must_use]
    pub fn event_type(self, event_type: impl Into<String>) -> Self {
        self.equal(EventField::EventType, event_type.into())
    }

    /// Sets how many events a transaction publishes again: 500 unless set.
    #[must_use]
    pub fn batch_size(self, events: u32) -> Self {
        Self { batch: events.max(1), ..self }
    }

    /// Sets the pause between two batches, to leave room for live traffic: none unless set.
    #[must_use]
    pub fn pause(self, pause: Duration) -> Self {
        Self { pause, ..self }
    }

    fn equal(mut self, field: EventField, value: String) -> Self {
        self.equal.push((field, value));
        self
    }

    /// Publishes all chosen rows again.
    ///
    /// The name identifies the replay: run it again after an error, and it continues. A replay that is finished does
    /// nothing. Rows that are committed after the first run of a name are not part of it.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub async fn run(&self, client: &mut Client, name: &str) -> Result<ReplayProgress, Error> {
        loop {
            let progress = self.step(client, name).await?;
            if progress.is_finished {
                return Ok(progress);
            }
            tokio::time::sleep(self.pause).await;
        }
    }

    /// Returns how many events the replay of this name has still to publish, and publishes none.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub async fn remaining(&self, client: &Client, name: &str) -> Result<u64, Error> {
        self.remaining_on(&client.into(), name).await
    }

    /// Counts the rows that this replay would still publish, whether it was begun or not. Fails if the name belongs to
    /// a replay of other rows.
    pub(crate) async fn remaining_on(&self, client: &Session<'_>, name: &str) -> Result<u64, Error> {
        let condition = self.condition(client, name).await?;
        let table = companion(self.pipeline.layout(), "_replays");
        let doing = |e| Error::database(format!("count the rows that the replay {name:?} has still to publish"), e);
        let sql = format!(
            "SELECT selection, before_xid::xid::text, last_id, finished_at IS NOT NULL FROM {table} WHERE name = $1
             UNION ALL
             SELECT NULL, pg_snapshot_xmax(pg_current_snapshot())::xid::text, NULL, false ORDER BY 1 NULLS LAST LIMIT 1"
        );
        let row = client.query_one(&sql, &[&name]).await.map_err(doing)?;
        self.check_selection(name, row.get(0))?;
        if row.get(3) {
            return Ok(0);
        }

        let started = Started { before: row.get(1), last_id: row.get(2) };
        let start = self.start(&started);
        // `$2` is the name, if rows are published.
        let sql = format!(
            "SELECT count(*) FROM {} WHERE {} AND $2::text IS NOT NULL",
            self.pipeline.layout().qualified_name(),
            self.conditions(&condition, &started)
        );
        let row = client.query_one(&sql, &self.params(&start, &name)).await.map_err(doing)?;
        Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or_default())
    }

    /// Returns the replays of the pipeline's table, the latest first.
    ///
    /// # Errors
    /// [`Error::is_not_ready`]: the table of replays is missing. Or PostgreSQL refused.
    pub async fn list(client: &Client, pipeline: &Pipeline) -> Result<Vec<Replay>, Error> {
        Self::list_on(&client.into(), pipeline).await
    }

    pub(crate) async fn list_on(client: &Session<'_>, pipeline: &Pipeline) -> Result<Vec<Replay>, Error> {
        let table = existing_table(client, pipeline).await?;
        let sql = format!(
            "SELECT name, events, last_id, started_at, finished_at FROM {table} ORDER BY started_at DESC, name"
        );
        let rows = client.query(&sql, &[]).await.map_err(|e| Error::database(format!("read {table}"), e))?;
        let replay = |row: &Row| {
            let finished_at: Option<OffsetDateTime> = row.get(4);
            let progress = progress(row.get(1), row.get(2), finished_at.is_some());
            Replay { name: row.get(0), progress, started_at: row.get(3), finished_at }
        };
        Ok(rows.iter().map(replay).collect())
    }

    /// Publishes one batch again, and returns how far the replay is.
    ///
    /// # Errors
    /// [`Error::is_configuration`]: no table keeps the events, the name is not 1 to 100 characters long, or it belongs
    /// to a replay of other rows. [`Error::is_not_ready`]: the slot or the table of replays is missing. Or PostgreSQL
    /// refused, and nothing of this batch is published.
    pub async fn step(&self, client: &mut Client, name: &str) -> Result<ReplayProgress, Error> {
        let condition = self.condition(&(&*client).into(), name).await?;
        let failed = |e| self.failed(DriverError::from(e));
        let tx = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).start().await;
        let tx = tx.map_err(failed)?;
        let progress = self.step_in(&Session::Transaction(&tx), name, &condition).await?;
        tx.commit().await.map_err(failed)?;
        Ok(progress)
    }

    /// Publishes one batch within a transaction at READ COMMITTED.
    pub(crate) async fn step_in(&self, tx: &Session<'_>, name: &str, condition: &str) -> Result<ReplayProgress, Error> {
        let started = match self.register(tx, name).await? {
            Registered::Finished(progress) => return Ok(progress),
            Registered::Running(started) => started,
        };
        let sql = self.sql(tx, condition, &started).await?;
        let start = self.start(&started);
        let row = tx.query_one(&sql, &self.params(&start, &name)).await.map_err(|e| self.failed(e))?;

        let (events, last): (i64, Option<Uuid>) = (row.get(0), row.get(1));
        self.record(tx, name, events, last).await.map_err(|e| self.failed(e))
    }

    pub(crate) fn failed(&self, error: DriverError) -> Error {
        Error::database(format!("publish rows of {} again", self.pipeline.layout().qualified_name()), error)
    }

    /// Checks the replay and the slot, and returns the condition of the rows that it may publish.
    pub(crate) async fn condition(&self, client: &Session<'_>, name: &str) -> Result<String, Error> {
        if !self.pipeline.layout().row_life().keeps_rows() {
            return Err(Error::configuration("no table keeps the events, so there is none to publish again"));
        }
        if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
            return Err(Error::configuration(
                "a replay's name has 1 to 100 characters, none of them a control character",
            ));
        }

        if let Some(problem) = slot_problem(client, &self.pipeline).await? {
            return Err(Error::not_ready(vec![problem]));
        }

        let history = History::open(client, &self.pipeline).await?;
        existing_table(client, &self.pipeline).await?;
        Ok(match self.rows {
            Rows::All => "true".to_owned(),
            Rows::Missed => {
                history.observe().await?;
                in_gaps(&history.gaps().await?)
            }
        })
    }

    /// Locks the row of the replay: two programs that run the same replay take turns.
    async fn register(&self, tx: &Session<'_>, name: &str) -> Result<Registered, Error> {
        let table = companion(self.pipeline.layout(), "_replays");
        let failed = |e| Error::database(format!("read or write {table}"), e);
        let insert = format!(
            "INSERT INTO {table} (name, selection, before_xid)
             VALUES ($1, $2, pg_snapshot_xmax(pg_current_snapshot())) ON CONFLICT DO NOTHING"
        );
        let selection = self.selection();
        tx.execute(&insert, &[&name, &selection]).await.map_err(failed)?;

        let sql = format!(
            "SELECT selection, before_xid::xid::text, last_id, events, finished_at IS NOT NULL FROM {table}
             WHERE name = $1 FOR UPDATE"
        );
        let row = tx.query_one(&sql, &[&name]).await.map_err(failed)?;
        self.check_selection(name, row.get(0))?;

        let (last_id, events) = (row.get(2), row.get(3));
        Ok(if row.get(4) {
            Registered::Finished(progress(events, last_id, true))
        } else {
            Registered::Running(Started { before: row.get(1), last_id })
        })
    }

    /// Describes the selection of the replay, to distinguish two of the same name.
    fn selection(&self) -> String {
        format!("{:?} {:?}..{:?} {:?} {:?}", self.rows, self.from, self.to, self.equal, self.ids)
    }

    fn check_selection(&self, name: &str, selection: Option<&str>) -> Result<(), Error> {
        match selection {
            Some(selection) if selection != self.selection() => {
                Err(Error::configuration(format!("the replay {name:?} is one of other rows: choose another name")))
            }
            _ => Ok(()),
        }
    }

    /// Returns the id from which on rows are chosen.
    fn start(&self, started: &Started) -> Uuid {
        self.from.map_or(Uuid::nil(), first_id).max(started.last_id.unwrap_or_default())
    }

    /// Returns the parameters of the statements: the first id, the replay's name, the values of the filters.
    fn params<'a>(&'a self, start: &'a Uuid, name: &'a &'a str) -> Vec<&'a (dyn ToSql + Sync)> {
        let values = self.equal.iter().map(|(_, value)| value as &(dyn ToSql + Sync));
        [start as &(dyn ToSql + Sync), name].into_iter().chain(values).collect()
    }

    /// Returns the condition of the rows that are still to be published. Rows of the replay itself are newer than its
    /// first run, so they are not chosen again.
    fn conditions(&self, condition: &str, started: &Started) -> String {
        let layout = self.pipeline.layout();
        let id = id(layout);
        let mut conditions = vec![format!("{id} >= $1"), format!("age(xmin) > age('{}'::xid)", started.before)];
        conditions.push(condition.to_owned());
        conditions.extend(self.to.map(|to| format!("{id} < '{}'", first_id(to))));
        if !self.ids.is_empty() {
            let ids: Vec<_> = self.ids.iter().map(|id| format!("'{id}'")).collect();
            conditions.push(format!("{id} IN ({})", ids.join(", ")));
        }

        for (index, (field, _)) in self.equal.iter().enumerate() {
            let column = layout.columns().iter().find(|column| column.field() == Some(*field));
            let column = column.map_or_else(|| "NULL".to_owned(), |column| column.name().to_string());
            conditions.push(format!("{column}::text = ${}", index + 3));
        }
        conditions.join(" AND ")
    }

    /// Returns the statement that publishes one batch.
    async fn sql(&self, tx: &Session<'_>, condition: &str, started: &Started) -> Result<String, Error> {
        let layout = self.pipeline.layout();
        let (table, id, batch) = (layout.qualified_name(), id(layout), self.batch);
        let columns = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
                       WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
                       ORDER BY attnum";

        let columns = tx.query(columns, &[&table]).await;
        let columns = columns.map_err(|e| Error::database(format!("read the columns of {table}"), e))?;
        let columns: Vec<(String, String)> = columns.iter().map(|row| (row.get(0), row.get(1))).collect();
        let names: Vec<_> = columns.iter().map(|(name, _)| quoted(name)).collect();
        let headers = layout.columns().iter().find(|column| column.field() == Some(EventField::Headers));
        let values: Vec<_> = columns
            .iter()
            .map(|(name, ty)| match headers {
                Some(headers) if headers.name().as_str() == name => format!(
                    "(coalesce({0}::text, '{{}}')::jsonb || jsonb_build_object('{1}', $2::text))::text::{ty}",
                    headers.name(),
                    Self::HEADER
                ),
                _ => quoted(name),
            })
            .collect();

        // `$2` is the name, even if no column holds it.
        Ok(format!(
            "WITH due AS MATERIALIZED (
                 SELECT {id} AS due_id FROM {table} WHERE {conditions} ORDER BY {id} LIMIT {batch}),
             gone AS (DELETE FROM {table} AS old USING due WHERE old.{id} = due.due_id RETURNING old.*),
             back AS (
                 INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE
                 SELECT {values} FROM gone ORDER BY {id} RETURNING {id} AS back_id)
             SELECT count(*), (array_agg(back_id ORDER BY back_id DESC))[1] FROM back WHERE $2::text IS NOT NULL",
            conditions = self.conditions(condition, started),
            names = names.join(", "),
            values = values.join(", "),
        ))
    }

    async fn record(
        &self,
        tx: &Session<'_>,
        name: &str,
        events: i64,
        last: Option<Uuid>,
    ) -> Result<ReplayProgress, DriverError> {
        let is_finished = events < i64::from(self.batch);
        let sql = format!(
            "UPDATE {} SET events = events + $2, last_id = coalesce($3, last_id),
                 finished_at = CASE WHEN $4 THEN clock_timestamp() END
             WHERE name = $1 RETURNING events, last_id",
            companion(self.pipeline.layout(), "_replays")
        );
        let row = tx.query_one(&sql, &[&name, &events, &last, &is_finished]).await?;
        Ok(progress(row.get(0), row.get(1), is_finished))
    }
}

enum Registered {
    Running(Started),
    Finished(ReplayProgress),
}

/// A replay that is not finished.
struct Started {
    /// Rows of transactions from this one on are newer than the replay.
    before: String,
    last_id: Option<Uuid>,
}

/// Returns the name of the table of replays.
async fn existing_table(client: &Session<'_>, pipeline: &Pipeline) -> Result<String, Error> {
    let table = companion(pipeline.layout(), "_replays");
    let row = client.query_one("SELECT to_regclass($1) IS NULL", &[&table]).await;
    if row.map_err(|e| Error::database(format!("look for {table}"), e))?.get(0) {
        return Err(Error::not_ready(vec![Problem::HistoryMissing { table }]));
    }
    Ok(table)
}

fn progress(events: i64, last_id: Option<Uuid>, is_finished: bool) -> ReplayProgress {
    let last_id = last_id.and_then(|id| EventId::try_from(id).ok());
    ReplayProgress { events: u64::try_from(events).unwrap_or_default(), last_id, is_finished }
}

fn millis(at: OffsetDateTime) -> u64 {
    u64::try_from(at.unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
}
