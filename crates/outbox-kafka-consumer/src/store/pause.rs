use std::time::Duration;

use super::lease::unread;
use super::{PgError, Row, Store, seconds};
use crate::Error;
use crate::group::{Pause, PauseTarget};

/// The paused part: everything of the group, a topic, or the events of a type. An empty text stands for all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Paused {
    pub topic: String,
    pub event_type: String,
}

impl Paused {
    /// Returns whether the pause covers a whole topic.
    pub fn is_all_of(&self, topic: &str) -> bool {
        self.event_type.is_empty() && (self.topic.is_empty() || self.topic == topic)
    }

    /// Returns whether the pause covers events of a type.
    pub fn is_of(&self, topic: &str, event_type: &str) -> bool {
        (self.topic.is_empty() || self.topic == topic) && (self.event_type.is_empty() || self.event_type == event_type)
    }
}

impl From<&PauseTarget> for Paused {
    fn from(target: &PauseTarget) -> Self {
        let (topic, event_type) = match target {
            PauseTarget::Group => ("", ""),
            PauseTarget::Topic(topic) => (topic.as_str(), ""),
            PauseTarget::EventType { topic, event_type } => (topic.as_str(), event_type.as_str()),
        };
        Self { topic: topic.to_owned(), event_type: event_type.to_owned() }
    }
}

impl Store {
    /// Pauses for a time, or until it is resumed. A pause without an end is not shortened.
    pub async fn pause(&self, what: &Paused, reason: &str, time: Option<Duration>) -> Result<(), Error> {
        let mut client = self.connection().await?;
        let (time, reason) = (time.map(seconds), self.storable(reason));
        let sql = &self.statements.operator.pause;
        let paused =
            self.on_client(&mut client).query(sql, &[&self.group, &what.topic, &what.event_type, &reason, &time]).await;
        paused.map(drop).map_err(|e| Error::store("write a pause", e))
    }

    /// Resumes a paused group; returns `false` if there is no such pause.
    pub async fn resume(&self, what: &Paused) -> Result<bool, Error> {
        let mut client = self.connection().await?;
        let sql = &self.statements.operator.resume;
        let row = self.on_client(&mut client).query_opt(sql, &[&self.group, &what.topic, &what.event_type]).await;
        row.map(|row| row.is_some()).map_err(|e| Error::store("end a pause", e))
    }

    pub async fn pauses(&self) -> Result<Vec<Pause>, Error> {
        let mut client = self.connection().await?;
        let rows = self.on_client(&mut client).query(&self.statements.operator.pauses, &[&self.group]).await;
        let rows = rows.map_err(|e| Error::store("read the pauses", e))?;
        rows.iter().map(pause).collect::<Result<_, _>>().map_err(unread)
    }
}

fn pause(row: &Row) -> Result<Pause, PgError> {
    Ok(Pause {
        target: PauseTarget::from_stored(row.try_get("topic")?, row.try_get("event_type")?),
        reason: row.try_get("reason")?,
        since: row.try_get("paused_at")?,
        until: row.try_get("until")?,
    })
}
