use axum::extract::{FromRequestParts, Query};
use axum::http::StatusCode;
use axum::http::request::Parts;

use crate::problem::{FieldError, Problem};

const DEFAULT: i64 = 100;
const RULE: &str = "it has to be a whole number from 1 to 500";

/// How much of a list is wanted: `?limit=`, 1 to 500.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit(pub(crate) i64);

impl<S: Sync> FromRequestParts<S> for Limit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let Query(parameters) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map_err(|_| {
            Problem::of_field(StatusCode::BAD_REQUEST, "query", "it cannot be read as parameters and values")
        })?;
        let mut limit = None;
        let mut errors = Vec::new();
        for (name, value) in parameters {
            if name != "limit" {
                errors.push(FieldError::new(name, "there is no such parameter"));
            } else if limit.replace(value).is_some() {
                errors.push(FieldError::new(name, "it is there more than once"));
            }
        }
        let limit = limit.map_or(Some(DEFAULT), |text| parsed(&text));
        match (limit, errors.is_empty()) {
            (Some(limit), true) => Ok(Self(limit)),
            (limit, _) => {
                if limit.is_none() {
                    errors.push(FieldError::new("limit", RULE));
                }
                Err(Problem::of_fields(StatusCode::BAD_REQUEST, errors))
            }
        }
    }
}

fn parsed(text: &str) -> Option<i64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|limit| digits && (1..=500).contains(limit))
}
