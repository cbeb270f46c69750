mod idempotency;
mod order;
mod store;

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

pub(crate) use self::order::{NewOrder, Order, OrderForm};
pub(crate) use self::store::{EventOptions, Placed, place};
use crate::bounded::{FromText, Id, Limit};
use crate::problem::Problem;
use crate::state::AppState;
use crate::trace;

/// A part of the list of orders, from the newest one on or from before an order.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    #[serde(default)]
    limit: FromText<Limit>,
    before: Option<FromText<Id>>,
}

/// Says that an earlier request with the same key has stored the order.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

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
    body: Result<Json<NewOrder>, JsonRejection>,
) -> Result<impl IntoResponse, Problem> {
    let Json(order) = body?;
    let event = EventOptions { id: idempotency::key(&headers)?, traceparent: trace::parent(&headers), header: None };
    let Placed { order, is_replay } = place(&state, order, event).await?;
    if is_replay {
        tracing::info!(order = order.id, "request repeated: order exists");
    } else {
        tracing::info!(order = order.id, "order created");
    }

    let replayed = is_replay.then_some([(REPLAYED, HeaderValue::from_static("true"))]);
    let location = [(header::LOCATION, format!("/orders/{}", order.id))];
    Ok((StatusCode::CREATED, location, replayed.map(axum::response::AppendHeaders), Json(order)))
}

async fn show(State(state): State<AppState>, id: Result<Path<Id>, PathRejection>) -> Result<Json<Order>, Problem> {
    let wrong_id =
        |e: PathRejection| Problem::of_field(e.status(), "path", "an order's id is a whole number from 1 on");
    let Path(id) = id.map_err(wrong_id)?;
    let order = store::find(&state.pool.get().await?, id.get()).await?;
    order.map(Json).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("order {} does not exist", id.get())))
}

/// Answers with the newest orders, and with a link to those before them.
async fn list(
    State(state): State<AppState>,
    page: Result<Query<Page>, QueryRejection>,
) -> Result<impl IntoResponse, Problem> {
    let Query(page) = page?;
    let limit = page.limit.0.get();
    let orders = store::newest(&state.pool.get().await?, page.before.map(|before| before.0.get()), limit).await?;

    let is_full = i64::try_from(orders.len()).is_ok_and(|count| count == limit);
    let next = orders.last().filter(|_| is_full).map(|order| {
        let next = format!("</orders?limit={limit}&before={}>; rel=\"next\"", order.id);
        axum::response::AppendHeaders([(header::LINK, next)])
    });
    Ok((next, Json(orders)))
}
