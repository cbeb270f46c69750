use std::time::Duration;

use axum::http::{HeaderMap, StatusCode};
use outbox_core::EventId;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::problem::Problem;

const HEADER: &str = "idempotency-key";
/// The age that a key may have. The outbox must keep its rows for longer than that.
const OLDEST: Duration = Duration::from_secs(24 * 60 * 60);
/// The time by which a client's clock may be ahead.
const AHEAD: Duration = Duration::from_secs(5 * 60);

/// Returns the id of the order's event that the client has chosen by `Idempotency-Key`: a UUID of version 7.
///
/// The outbox recognizes an id that it has, so the same key stores one order and one event, however often it is sent.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<EventId>, Problem> {
    let refused = |detail: &str| Problem::of_field(StatusCode::BAD_REQUEST, "Idempotency-Key", detail);
    let mut values = headers.get_all(HEADER).iter();
    let (value, others) = (values.next(), values.next());
    let Some(value) = value else { return Ok(None) };
    if others.is_some() {
        return Err(refused("it must be sent once"));
    }

    let uuid = value.to_str().ok().and_then(|text| Uuid::try_parse(text.trim_matches('"')).ok());
    let id = uuid.and_then(|uuid| EventId::try_from(uuid).ok());
    let id = id.ok_or_else(|| refused("it must be a UUID of version 7"))?;

    let now = OffsetDateTime::now_utc();
    let seconds = id.as_uuid().get_timestamp().map(|time| time.to_unix().0);
    let made = seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(i64::try_from(seconds).ok()?).ok());
    match made {
        Some(made) if now - OLDEST <= made && made <= now + AHEAD => Ok(Some(id)),
        _ => Err(refused("its time must be within the last 24 hours: create the key when you create the order")),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(values: &[&str]) -> Result<Option<EventId>, Problem> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_str(value).unwrap());
        }
        key(&headers)
    }

    #[test]
    fn a_key_is_one_recent_uuid_of_version_7() {
        let id = Uuid::now_v7();
        assert!(of(&[]).unwrap().is_none());
        for text in [id.to_string(), format!("\"{id}\"")] {
            assert_eq!(of(&[&text]).unwrap().map(EventId::as_uuid), Some(id));
        }
        let id = id.to_string();
        let years_ago = "01800000-0000-7000-8000-000000000001";
        let far_ahead = "0fffffff-ffff-7000-8000-000000000001";
        for values in [&[&*id, &id][..], &["1"], &["c0ffee00-0000-4000-8000-000000000001"], &[years_ago], &[far_ahead]]
        {
            assert!(of(values).is_err(), "{values:?}");
        }
    }
}
