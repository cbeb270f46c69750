//! The page at `/`: an order's event on its way, lag, health indicators and dead letters; in a demonstration also switches
//! that break the way. The server writes all of the HTML, and sends the parts that change as server-sent events.

mod html;
mod live;
mod snapshot;
mod view;

use axum::Router;
use axum::extract::rejection::{FormRejection, PathRejection};
use axum::extract::{Form, FromRequestParts, Path, State};
use axum::http::request::Parts as RequestParts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::sse::{KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use uuid::Uuid;

use self::live::Checked;
use crate::bounded::{FromText, Id};
use crate::orders::{EventOptions, NewOrder, OrderForm, place};
use crate::problem::Problem;
use crate::received::POISON;
use crate::settings::PageAccess;
use crate::state::AppState;
use crate::trace;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// Returns the routes of the page that this access has.
pub(crate) fn routes(access: PageAccess) -> Router<AppState> {
    let shown = Router::new().route("/", get(index)).route("/page/live", get(live));
    let changed = Router::new()
        .route("/page/orders", post(order))
        .route("/page/dead-letters/{id}/{action}", post(dead_letter))
        .route("/page/switches/{switch}/{state}", post(switch));
    match access {
        PageAccess::Full => shown.merge(changed),
        PageAccess::Read => shown,
        PageAccess::Off => Router::new(),
    }
}

async fn index(State(state): State<AppState>) -> Response {
    let parts = live::parts(&state, &mut Checked::default()).await;
    let part = |id: &str| parts.iter().find(|(name, _)| *name == id).map_or("", |(_, html)| html.as_str());
    // Random, so that nothing but this script and this style is run and used.
    let nonce = Uuid::now_v7().simple().to_string();

    let orders_form = if state.page == PageAccess::Full { include_str!("order_form.html") } else { "" };
    let demo = match &state.switches {
        Some(_) if state.page == PageAccess::Full => {
            format!(
                "<section aria-labelledby=\"demo-title\"><h2 id=\"demo-title\" tabindex=\"-1\">Break it</h2><div id=\"demo\">{}</div></section>",
                part("demo")
            )
        }
        _ => String::new(),
    };
    let html = format!(
        include_str!("index.html"),
        nonce = nonce,
        style = STYLE,
        script = SCRIPT,
        form = orders_form,
        demo = demo,
        summary = part("summary"),
        orders = part("orders"),
        lag = part("lag"),
        health = part("health"),
        letters = part("dead-letters"),
    );

    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
         img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, html).into_response()
}

async fn live(State(state): State<AppState>) -> impl IntoResponse {
    Sse::new(live::stream(state)).keep_alive(KeepAlive::default())
}

async fn order(
    State(state): State<AppState>,
    _: OwnPage,
    headers: HeaderMap,
    form: Result<Form<OrderForm>, FormRejection>,
) -> Result<Response, Problem> {
    let event = EventOptions { traceparent: trace::parent(&headers), ..EventOptions::default() };
    let placed = place(&state, form?.0.into(), event).await?;
    Ok(answered(&headers, format!("Order {} is stored, with its event.", placed.order.id)))
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Retry,
    Discard,
}

async fn dead_letter(
    State(state): State<AppState>,
    _: OwnPage,
    headers: HeaderMap,
    path: Result<Path<(FromText<Id>, Action)>, PathRejection>,
) -> Result<Response, Problem> {
    let (FromText(id), action) = path?.0;
    let id = id.get();
    let group = snapshot::group(&state);
    let (asked, message) = match action {
        Action::Retry => (group.retry(id).await, "will be handled again"),
        Action::Discard => (group.discard(id).await, "will be discarded"),
    };
    match asked {
        Ok(_) => Ok(answered(&headers, format!("Dead letter {id} {message} within a second."))),
        Err(e) if e.is_refused() => Err(Problem::new(StatusCode::CONFLICT, format!("event {id} is not held any more"))),
        Err(e) => Err(Problem::unavailable(e)),
    }
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Switch {
    Broker,
    Relay,
    Handler,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SwitchState {
    On,
    Off,
}

async fn switch(
    State(state): State<AppState>,
    _: OwnPage,
    headers: HeaderMap,
    path: Result<Path<(Switch, SwitchState)>, PathRejection>,
) -> Result<Response, Problem> {
    let (switch, to) = path?.0;
    let no_demo = || Problem::new(StatusCode::NOT_FOUND, "only a demonstration (`order-service demo`) has switches");
    let switches = state.switches.as_ref().ok_or_else(no_demo)?;
    let is_on = to == SwitchState::On;
    let message = match (switch, is_on) {
        (Switch::Broker, false) => {
            "The broker does not answer. Orders are accepted, and their events wait in the outbox."
        }
        (Switch::Broker, true) => "The broker answers. The events that waited follow within seconds.",
        (Switch::Relay, false) => "The relay was killed. Orders are accepted, and their events wait in the outbox.",
        (Switch::Relay, true) => "The relay is started. It continues where the replication slot was confirmed.",
        (Switch::Handler, false) => {
            "A poison event is on its way. It becomes a dead letter; other orders are not affected."
        }
        (Switch::Handler, true) => "The handler is repaired. Retry the dead letter.",
    };

    match switch {
        Switch::Broker => switches.broker.send_replace(is_on),
        Switch::Relay => switches.relay.send_replace(is_on),
        Switch::Handler => switches.handler.send_replace(is_on),
    };

    if matches!((switch, is_on), (Switch::Handler, false)) {
        let event = EventOptions { header: Some(POISON), ..EventOptions::default() };
        place(&state, NewOrder::sample(), event).await?;
    }
    Ok(answered(&headers, message.to_owned()))
}

/// Answers the page's script with a sentence, and a form that is sent without it with the page.
fn answered(headers: &HeaderMap, message: String) -> Response {
    let is_script = headers.get(header::ACCEPT) == Some(&HeaderValue::from_static("text/plain"));
    if is_script { message.into_response() } else { Redirect::to("/").into_response() }
}

/// A request of this service's own page. Forms of other sites are refused, because the page has no login.
struct OwnPage;

impl<S: Sync> FromRequestParts<S> for OwnPage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut RequestParts, _state: &S) -> Result<Self, Problem> {
        let text = |name: header::HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let site = parts.headers.get("sec-fetch-site").and_then(|value| value.to_str().ok());
        let is_own = match (site, text(header::ORIGIN), text(header::HOST)) {
            (Some(site), _, _) => ["same-origin", "none"].contains(&site),
            (None, Some(origin), Some(host)) => {
                origin.split_once("://").is_some_and(|(_, authority)| authority == host)
            }
            (None, None, _) => true,
            _ => false,
        };
        if is_own { Ok(Self) } else { Err(Problem::new(StatusCode::FORBIDDEN, "this form belongs to another site")) }
    }
}
