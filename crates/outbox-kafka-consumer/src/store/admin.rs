use deadpool_postgres::tokio_postgres::{Error as PgError, Row};
use outbox_core::Record;

use super::Store;
use super::held::record;
use super::lease::unread;
use crate::Error;
use crate::group::{Held, HeldState};
use crate::protocol::{MoveRefused, check_move};

impl Store {
    pub(crate) async fn list(&self, state: HeldState, after: i64, limit: u32) -> Result<Vec<Held>, Error> {
        let client = self.connection().await?;
        let state = match state {
            HeldState::Parked => "parked",
            HeldState::Dead => "dead",
        };
        let rows = self.on_client(&client);
        let rows = rows.query(&self.statements.list, &[&self.group, &state, &after, &i64::from(limit)]).await;
        let rows = rows.map_err(|e| Error::store("list held events", e))?;
        rows.iter().map(held).collect::<Result<_, _>>().map_err(unread)
    }

    pub(crate) async fn show(&self, id: i64) -> Result<Option<(Held, Record)>, Error> {
        let client = self.connection().await?;
        let row = self.on_client(&client).query_opt(&self.statements.show, &[&self.group, &id]).await;
        let row = row.map_err(|e| Error::store("show a held event", e))?;
        row.map(|row| {
            let held = held(&row)?;
            let record = record(&row, &held.topic)?;
            Ok((held, record))
        })
        .transpose()
        .map_err(unread)
    }

    pub(crate) async fn request(&self, id: i64, action: &str) -> Result<(), Error> {
        let client = self.connection().await?;
        let row = self.on_client(&client).query_opt(&self.statements.request, &[&self.group, &id, &action]).await;
        let row = row.map_err(|e| Error::store("write a request", e))?;
        row.map(drop).ok_or_else(|| Error::refused(format!("no event is held under {id} (any more)")))
    }

    pub(crate) async fn move_position(
        &self,
        topic: &str,
        partition: i32,
        to: i64,
        is_forced: bool,
    ) -> Result<(), Error> {
        let place = format!("the position of topic {topic}, partition {partition}");
        let client = self.connection().await?;
        let link = self.on_client(&client);
        let failed = |e| Error::store("move a position", e);
        let horizon = link.query_opt(&self.statements.horizon, &[&self.group, &topic, &partition]).await;
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
        let sql = &self.statements.move_position;
        let moved = link.query_opt(sql, &[&self.group, &topic, &partition, &to, &is_forced]).await.map_err(failed)?;
        moved
            .map(drop)
            .ok_or_else(|| Error::refused(format!("{place} is not moved: the inbox is forgetting what is there")))
    }
}

fn held(row: &Row) -> Result<Held, PgError> {
    let (state, attempts): (&str, i32) = (row.try_get("state")?, row.try_get("attempts")?);
    Ok(Held {
        id: row.try_get("id")?,
        topic: row.try_get("topic")?,
        partition: row.try_get("partition")?,
        offset: row.try_get("record_offset")?,
        event_id: row.try_get("event_id")?,
        state: if state == "dead" { HeldState::Dead } else { HeldState::Parked },
        attempts: u32::try_from(attempts).unwrap_or(0),
        kind: row.try_get("kind")?,
        error: row.try_get("error")?,
        first_failed_at: row.try_get("first_failed_at")?,
        last_failed_at: row.try_get("last_failed_at")?,
        next_attempt_at: row.try_get("next_attempt_at")?,
    })
}
