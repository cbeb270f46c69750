mod fields;
mod new_order;
mod store;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use outbox_core::Traceparent;
use serde::Serialize;
use time::OffsetDateTime;

use self::new_order::NewOrder;
use crate::app::AppState;
use crate::json_body::JsonBody;
use crate::limit::Limit;
use crate::problem::Problem;

/// An order as it is stored and answered.
#[derive(Clone, Debug, Serialize)]
struct Order {
    id: i64,
    customer_id: i64,
    product_id: i64,
    quantity: i32,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/orders", get(list).post(create))
        .route("/orders/", get(list).post(create))
        .route("/orders/{id}", get(show))
        .route("/orders/{id}/", get(show))
}

async fn create(
    State(state): State<AppState>,
    headers: HeaderMap,
    JsonBody(body): JsonBody,
) -> Result<impl IntoResponse, Problem> {
    let order = NewOrder::from_json(&body)?;
    let order = store::insert(&mut state.pool.get().await?, &state.outbox, order, traceparent(&headers)).await?;
    tracing::info!(order = order.id, "order created");
    Ok((StatusCode::CREATED, [(header::LOCATION, format!("/orders/{}", order.id))], Json(order)))
}

async fn show(State(state): State<AppState>, id: Result<Path<String>, PathRejection>) -> Result<Json<Order>, Problem> {
    let id = id.ok().and_then(|Path(id)| order_id(&id)).ok_or_else(|| {
        Problem::of_field(StatusCode::BAD_REQUEST, "id", "it has to be a whole number from 1 to 9223372036854775807")
    })?;
    let order = store::find(&state.pool.get().await?, id).await?;
    order.map(Json).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("there is no order {id}")))
}

async fn list(State(state): State<AppState>, Limit(limit): Limit) -> Result<Json<Vec<Order>>, Problem> {
    store::newest(&state.pool.get().await?, limit).await.map(Json)
}

fn order_id(text: &str) -> Option<i64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|id| digits && *id > 0)
}

/// Returns the caller's trace. One that is malformed counts as none, as W3C Trace Context has it.
fn traceparent(headers: &HeaderMap) -> Option<Traceparent> {
    let mut values = headers.get_all("traceparent").iter();
    match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok()?.parse().ok(),
        _ => None,
    }
}
