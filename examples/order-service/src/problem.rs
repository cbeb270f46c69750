use std::error::Error;

use axum::Json;
use axum::extract::rejection::{FormRejection, JsonRejection, PathRejection, QueryRejection};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use deadpool_postgres::PoolError;
use serde::Serialize;

use crate::database::below;
use outbox_net::ErrorChain;

/// An answer other than success: RFC 9457, `application/problem+json`.
///
/// Its cause is logged and never sent: what the database says is none of the client's business.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: String,
    errors: Vec<FieldError>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

/// The fault of one part of the request.
#[derive(Debug, Serialize)]
struct FieldError {
    field: String,
    detail: String,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    errors: &'a [FieldError],
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), errors: Vec::new(), cause: None }
    }

    /// Creates a problem of one field.
    pub(crate) fn of_field(status: StatusCode, field: &str, detail: impl Into<String>) -> Self {
        let error = FieldError { field: field.to_owned(), detail: detail.into() };
        let detail = format!("{field}: {}", error.detail);
        Self { errors: vec![error], ..Self::new(status, detail) }
    }

    /// Creates the problem of a store that cannot be used at the moment.
    pub(crate) fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let detail = "the service cannot reach its store at the moment: try again later";
        Self { cause: Some(cause.into()), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// Creates the problem of a request that was given up when its outcome was not known.
    pub(crate) fn uncertain(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let detail = "the store did not answer in time, and the request may have been carried out: send it again with the \
                      same Idempotency-Key";
        Self { cause: Some(cause.into()), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, detail) }
    }

    /// Creates the problem of a fault of this service.
    pub(crate) fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let detail = "the service failed; the cause is in its log";
        Self { cause: Some(cause.into()), ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail) }
    }

    fn store(error: impl Into<Box<dyn Error + Send + Sync>>, is_transient: bool) -> Self {
        if is_transient { Self::unavailable(error) } else { Self::internal(error) }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if let Some(cause) = &self.cause {
            tracing::error!(status = self.status.as_u16(), error = %ErrorChain::new(cause.as_ref()), "request failed");
        }

        let body = Body {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Unknown"),
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
        };
        let mut response = (self.status, Json(body)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// Returns the problem of a part of a request that axum rejects.
fn rejected(field: &str, status: StatusCode, rejection: &dyn Error) -> Problem {
    // The cause names the field; the rejection's own text adds terms of the program.
    let detail = rejection.source().map_or_else(|| rejection.to_string(), ToString::to_string);
    Problem::of_field(status, field, detail)
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let is_other_type = matches!(rejection, JsonRejection::MissingJsonContentType(_));
        rejected(if is_other_type { "content-type" } else { "body" }, rejection.status(), &rejection)
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        rejected("query", rejection.status(), &rejection)
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        rejected("path", rejection.status(), &rejection)
    }
}

impl From<FormRejection> for Problem {
    fn from(rejection: FormRejection) -> Self {
        rejected("form", rejection.status(), &rejection)
    }
}

impl From<PoolError> for Problem {
    fn from(error: PoolError) -> Self {
        Self::unavailable(below(error))
    }
}

impl From<tokio_postgres::Error> for Problem {
    fn from(error: tokio_postgres::Error) -> Self {
        // Connection, rollback, resources, operator intervention (PostgreSQL, appendix "Error Codes").
        let is_transient = match error.code() {
            Some(state) => state.code().get(..2).is_some_and(|class| ["08", "40", "53", "57"].contains(&class)),
            None => error.is_closed() || error.source().is_some_and(|source| source.is::<std::io::Error>()),
        };
        Self::store(error, is_transient)
    }
}

impl From<outbox_pg::Error> for Problem {
    fn from(error: outbox_pg::Error) -> Self {
        let is_transient = error.is_transient();
        Self::store(error, is_transient)
    }
}

impl From<outbox_core::Error> for Problem {
    fn from(error: outbox_core::Error) -> Self {
        let is_transient = error.is_transient();
        Self::store(error, is_transient)
    }
}
