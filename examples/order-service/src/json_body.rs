use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use futures_util::StreamExt as _;
use tokio::time::timeout;

use crate::problem::Problem;

/// The most bytes of a request.
const LIMIT: usize = 64 << 10;
/// The bytes that are read and dropped of a larger one: a connection that is closed with data unread is reset, and the
/// client would see that in place of the answer.
const DRAINED: usize = 32 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// The body of a request whose content type is JSON, within the limit. It is not parsed yet.
#[derive(Debug)]
pub(crate) struct JsonBody(pub(crate) Vec<u8>);

impl<S: Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let Ok(body) = timeout(PATIENCE, read(body)).await else {
            return Err(Problem::of_field(StatusCode::REQUEST_TIMEOUT, "body", "it did not arrive within 10 seconds"));
        };
        let body = body?;
        if !is_json(&parts.headers) {
            return Err(Problem::of_field(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content-type",
                "it has to be application/json",
            ));
        }
        Ok(Self(body))
    }
}

async fn read(body: Body) -> Result<Vec<u8>, Problem> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::of_field(StatusCode::BAD_REQUEST, "body", "it was cut off"))?;
        if bytes.len() + chunk.len() > LIMIT {
            drain(chunks).await;
            return Err(Problem::of_field(StatusCode::PAYLOAD_TOO_LARGE, "body", "it has more than 65536 bytes"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

async fn drain(mut chunks: BodyDataStream) {
    let mut drained = 0;
    while let Some(Ok(chunk)) = chunks.next().await {
        drained += chunk.len();
        if drained > DRAINED {
            return;
        }
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(header::CONTENT_TYPE).map(|value| value.to_str()) else { return false };
    let media_type = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    media_type == "application/json" || (media_type.starts_with("application/") && media_type.ends_with("+json"))
}
