use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::Event;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::{Instant, sleep, timeout};

use super::snapshot::Snapshot;
use super::view;
use crate::health::look;
use crate::live::Parts;
use crate::state::AppState;
use outbox_pg::PipelineHealth;

/// The interval at which the page is brought up to date while someone looks at it.
const PERIOD: Duration = Duration::from_millis(250);
/// The interval at which the health indicators are checked: each check reads a dozen catalogs.
const HEALTH_PERIOD: Duration = Duration::from_secs(1);
/// The time that the database may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Returns the parts that change, whenever they do, until the service stops.
pub(super) fn stream(state: AppState) -> impl Stream<Item = Result<Event, Infallible>> + Send + use<> {
    let (live, stop) = (state.live.clone(), state.stop.clone().cancelled_owned());
    let receiver = live.subscribe(|| {
        tokio::spawn(publish(state));
    });
    let changes = stream::unfold((receiver, Arc::<Parts>::default()), async |(mut receiver, shown)| {
        receiver.changed().await.ok()?;
        let parts = Arc::clone(&receiver.borrow_and_update());
        let changed = parts.iter().filter(|part| !shown.contains(part));
        let events: Vec<_> =
            changed.map(|(id, html)| Ok(Event::default().event(*id).data(html.replace('\n', " ")))).collect();
        Some((stream::iter(events), (receiver, parts)))
    });
    changes.flatten().take_until(stop)
}

/// Brings the parts up to date while somebody looks at the page.
async fn publish(state: AppState) {
    let mut health = Checked::default();
    loop {
        state.live.show(parts(&state, &mut health).await);
        sleep(PERIOD).await;
        if state.live.ends(state.stop.is_cancelled()) {
            return;
        }
    }
}

/// The health indicators as they were checked last.
#[derive(Default)]
pub(super) struct Checked(Option<(Instant, Option<PipelineHealth>)>);

impl Checked {
    async fn refresh(&mut self, state: &AppState) -> Option<&PipelineHealth> {
        let is_old = self.0.as_ref().is_none_or(|(at, _)| at.elapsed() >= HEALTH_PERIOD);
        if is_old {
            let health = timeout(PATIENCE, look(state)).await.ok().and_then(Result::ok);
            self.0 = Some((Instant::now(), health));
        }
        self.0.as_ref().and_then(|(_, health)| health.as_ref())
    }
}

/// Reads and renders all that changes on the page.
pub(super) async fn parts(state: &AppState, checked: &mut Checked) -> Parts {
    let mut parts = Parts::new();
    let health = checked.refresh(state).await;

    match timeout(PATIENCE, Snapshot::read(state)).await.ok().and_then(Result::ok) {
        Some(snapshot) => {
            parts.push(("summary", view::summary(&snapshot)));
            parts.push(("orders", view::orders(&snapshot.ways)));
            parts.push(("lag", view::lag(&snapshot.partitions, health)));
            parts.push(("dead-letters", view::letters(&snapshot.letters, state.page)));
        }
        // The other parts stay as they were.
        None => {
            parts.push(("summary", "The database cannot be reached. The page shows the last known state.".to_owned()))
        }
    }

    parts.push(("health", view::health(health)));
    if let Some(switches) = &state.switches {
        parts.push(("demo", view::demo(switches)));
    }
    parts
}
