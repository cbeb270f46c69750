use deadpool_postgres::tokio_postgres::types::Type;
use outbox_core::record::Record;
use outbox_core::uuid::Uuid;

use super::held::record;
use super::lease::unread;
use super::statements::Sql;
use super::{PgError, Row, Store};
use crate::group::{
    Condition, EventState, FailedEvent, FailedEventFilter, PartitionStatus, Request, RequestAction, RequestOutcome,
};
use crate::protocol::{MoveRefused, check_move};
use crate::{Error, FailureKind};

/// The columns of [`FailedEvent`]. The statement `show` of `statements/operator.rs` has the same and the record's.
const HELD: &str = "id, topic, partition, record_offset, event_id, event_type, state, record_key, attempts, kind, error, \
     first_failed_at, last_failed_at, next_attempt_at";

impl Store {
    pub async fn list(&self, filter: &FailedEventFilter, after: i64, limit: u32) -> Result<Vec<FailedEvent>, Error> {
        let limit = i64::from(limit);
        let mut condition = Condition::new(&self.group);
        condition.and("id > ?", Type::INT8, &after);
        filter.narrow(&mut condition);
        condition.types.push(Type::INT8);
        condition.values.push(&limit);

        let last = condition.values.len();
        let text = format!(
            "SELECT {HELD} FROM {}.consumer_held WHERE {} ORDER BY id LIMIT ${last}",
            self.schema, condition.sql
        );
        let rows = self.filtered("list held events", text, condition).await?;
        rows.iter().map(held).collect::<Result<_, _>>().map_err(unread)
    }

    pub async fn count(&self, filter: &FailedEventFilter) -> Result<u64, Error> {
        let mut condition = Condition::new(&self.group);
        filter.narrow(&mut condition);
        let text = format!("SELECT count(*) FROM {}.consumer_held WHERE {}", self.schema, condition.sql);
        let rows = self.filtered("count held events", text, condition).await?;
        rows.first().map_or(Ok(0), |row| row.try_get(0).map(i64::unsigned_abs)).map_err(unread)
    }

    /// Requests an action for all held events that the filter selects and returns their number. Skips those with an
    /// open request.
    pub async fn request_all(&self, filter: &FailedEventFilter, action: RequestAction) -> Result<u64, Error> {
        let mut condition = Condition::new(&self.group);
        filter.narrow(&mut condition);
        condition.types.push(Type::TEXT);

        let action = action.name();
        condition.values.push(&action);

        let text = format!(
            "WITH asked AS (
                 INSERT INTO {s}.consumer_request (consumer_group, topic, partition, held_id, action)
                 SELECT consumer_group, topic, partition, id, ${} FROM {s}.consumer_held AS held
                 WHERE {} AND NOT EXISTS (SELECT FROM {s}.consumer_request AS request
                                          WHERE request.held_id = held.id AND request.done_at IS NULL)
                 ORDER BY id RETURNING id)
             SELECT count(*) FROM asked",
            condition.values.len(),
            condition.sql,
            s = self.schema,
        );
        let rows = self.filtered("write requests", text, condition).await?;
        rows.first().map_or(Ok(0), |row| row.try_get(0).map(i64::unsigned_abs)).map_err(unread)
    }

    async fn filtered(&self, doing: &str, text: String, condition: Condition<'_>) -> Result<Vec<Row>, Error> {
        let mut client = self.connection().await?;
        let sql = Sql { text, types: condition.types };
        self.on_client(&mut client).query(&sql, &condition.values).await.map_err(|e| Error::store(doing, e))
    }

    pub async fn status(&self) -> Result<Vec<PartitionStatus>, Error> {
        let mut client = self.connection().await?;
        let rows = self.on_client(&mut client).query(&self.statements.operator.status, &[&self.group]).await;
        let rows = rows.map_err(|e| Error::store("read the partitions", e))?;
        rows.iter().map(status).collect::<Result<_, _>>().map_err(unread)
    }

    pub async fn request_of(&self, id: i64) -> Result<Option<Request>, Error> {
        let mut client = self.connection().await?;
        let row =
            self.on_client(&mut client).query_opt(&self.statements.operator.request_of, &[&self.group, &id]).await;
        let row = row.map_err(|e| Error::store("read a request", e))?;
        row.map(|row| request(&row)).transpose().map_err(unread)
    }

    /// Removes all rows of the group; those of the inbox in batches, as there may be many.
    pub async fn remove_group(&self) -> Result<(), Error> {
        let failed = |e| Error::store("remove the group", e);
        let mut client = self.connection().await?;
        let mut executor = self.on_client(&mut client);
        let members = executor.query(&self.statements.lease.members, &[&self.group]).await.map_err(failed)?;
        // Those that have ended within the last hour are listed, too.
        let are_alive = members.iter().map(|member| member.try_get(3)).collect::<Result<Vec<bool>, _>>();
        if are_alive.map_err(unread)?.contains(&true) {
            return Err(Error::refused("a consumer of the group runs: stop it, or wait until its lease has ended"));
        }

        executor.query(&self.statements.operator.remove_group, &[&self.group]).await.map_err(failed)?;
        let mut after = Uuid::nil();

        loop {
            let row = executor
                .query_opt(&self.statements.operator.remove_events, &[&self.group, &after])
                .await
                .map_err(failed)?;
            let last: Option<Uuid> = row.map(|row| row.try_get(0)).transpose().map_err(unread)?.flatten();
            let Some(last) = last else { return Ok(()) };
            after = last;
        }
    }

    pub async fn show(&self, id: i64) -> Result<Option<(FailedEvent, Record)>, Error> {
        let mut client = self.connection().await?;
        let row = self.on_client(&mut client).query_opt(&self.statements.operator.show, &[&self.group, &id]).await;
        let row = row.map_err(|e| Error::store("show a held event", e))?;
        row.map(|row| {
            let held = held(&row)?;
            let record = record(&row, &held.topic)?;
            Ok((held, record))
        })
        .transpose()
        .map_err(unread)
    }

    pub async fn request(&self, id: i64, action: RequestAction) -> Result<i64, Error> {
        let mut client = self.connection().await?;
        let row = self
            .on_client(&mut client)
            .query_opt(&self.statements.operator.request, &[&self.group, &id, &action.name()])
            .await;
        let row = row.map_err(|e| Error::store("write a request", e))?;
        let row = row.ok_or_else(|| Error::refused(format!("no event is held under {id} (any more)")))?;
        row.try_get(0).map_err(unread)
    }

    /// Moves a position. Unless forced, refuses one before the horizon: the inbox has forgotten the events there, so
    /// they would be handled again.
    pub async fn move_position(&self, topic: &str, partition: i32, to: i64, is_forced: bool) -> Result<(), Error> {
        let place = format!("the position of topic {topic}, partition {partition}");
        let mut client = self.connection().await?;
        let mut executor = self.on_client(&mut client);
        let failed = |e| Error::store("move a position", e);
        let horizon = executor.query_opt(&self.statements.position.horizon, &[&self.group, &topic, &partition]).await;
        let horizon = horizon.map_err(failed)?.ok_or_else(|| Error::refused(format!("the group has not {place}")))?;
        let horizon: i64 = horizon.try_get(0).map_err(unread)?;
        match check_move(to, if is_forced { 0 } else { horizon }) {
            Ok(()) => {}
            Err(MoveRefused::Negative) => return Err(Error::refused(format!("{place} cannot be {to}"))),
            Err(MoveRefused::BehindHorizon { horizon }) => {
                let why = "of what is before that the inbox has forgotten what was handled, so that it would take effect again";
                return Err(Error::refused(format!("{place} is not moved to {to}, before {horizon}: {why}")));
            }
        }

        let sql = &self.statements.position.move_position;
        let moved =
            executor.query_opt(sql, &[&self.group, &topic, &partition, &to, &is_forced]).await.map_err(failed)?;

        moved
            .map(drop)
            .ok_or_else(|| Error::refused(format!("{place} is not moved: the inbox is forgetting what is there")))
    }
}

fn held(row: &Row) -> Result<FailedEvent, PgError> {
    let (state, attempts): (&str, i32) = (row.try_get("state")?, row.try_get("attempts")?);
    Ok(FailedEvent {
        id: row.try_get("id")?,
        topic: row.try_get("topic")?,
        partition: row.try_get("partition")?,
        offset: row.try_get("record_offset")?,
        event_id: row.try_get("event_id")?,
        event_type: row.try_get("event_type")?,
        key: row.try_get("record_key")?,
        state: EventState::from_stored(state),
        attempts: u32::try_from(attempts).unwrap_or(0),
        kind: FailureKind::from_name(row.try_get("kind")?).unwrap_or(FailureKind::Other),
        error: row.try_get("error")?,
        first_failed_at: row.try_get("first_failed_at")?,
        last_failed_at: row.try_get("last_failed_at")?,
        next_attempt_at: row.try_get("next_attempt_at")?,
    })
}

fn status(row: &Row) -> Result<PartitionStatus, PgError> {
    let (parked, dead): (i64, i64) = (row.try_get("parked")?, row.try_get("dead")?);
    Ok(PartitionStatus {
        topic: row.try_get("topic")?,
        partition: row.try_get("partition")?,
        owner: row.try_get("owner")?,
        position: row.try_get("next_offset")?,
        end: row.try_get("end_offset")?,
        parked: parked.unsigned_abs(),
        dead: dead.unsigned_abs(),
        is_paused: row.try_get("paused")?,
        last_error: row.try_get("stopped_because")?,
        updated_at: row.try_get("updated_at")?,
    })
}

fn request(row: &Row) -> Result<Request, PgError> {
    let (action, outcome): (&str, Option<&str>) = (row.try_get("action")?, row.try_get("outcome")?);
    let done_at: Option<_> = row.try_get("done_at")?;
    let outcome = match outcome {
        Some("retried") => RequestOutcome::Retried,
        Some("discarded") => RequestOutcome::Discarded,
        _ => RequestOutcome::NotHeld,
    };

    Ok(Request {
        id: row.try_get("id")?,
        held: row.try_get("held_id")?,
        action: if action == "discard" { RequestAction::Discard } else { RequestAction::Retry },
        requested_at: row.try_get("requested_at")?,
        outcome: done_at.map(|at| (outcome, at)),
    })
}
