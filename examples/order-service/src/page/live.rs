use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::response::sse::Event;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::snapshot::Snapshot;
use super::view;
use crate::app::AppState;
use crate::health::look;
use outbox_pg::PipelineHealth;

/// How often the page is brought up to date while someone looks at it.
const PERIOD: Duration = Duration::from_millis(250);
/// How often the health indicators are checked: each check reads a dozen catalogs.
const HEALTH_PERIOD: Duration = Duration::from_secs(1);
/// How long the database may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The parts of the page that change: the id of an element, and its contents.
pub(super) type Parts = Vec<(&'static str, String)>;

/// The newest state of the page, for all who look at it. While nobody does, no query runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Live(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    parts: watch::Sender<Arc<Parts>>,
    is_running: Mutex<bool>,
}

impl Live {
    /// Returns the parts that change, whenever they do, until the service stops.
    pub(super) fn stream(&self, state: AppState) -> impl Stream<Item = Result<Event, Infallible>> + Send + use<> {
        let stop = state.stop.clone().cancelled_owned();
        let receiver = self.subscribe(state);
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

    fn subscribe(&self, state: AppState) -> watch::Receiver<Arc<Parts>> {
        let mut is_running = self.0.is_running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut receiver = self.0.parts.subscribe();
        receiver.mark_changed();
        if !std::mem::replace(&mut *is_running, true) {
            tokio::spawn(self.clone().publish(state));
        }
        receiver
    }

    async fn publish(self, state: AppState) {
        let mut health = Checked::default();
        loop {
            let parts = parts(&state, &mut health).await;
            self.0.parts.send_if_modified(|shown| {
                let is_changed = **shown != parts;
                *shown = Arc::new(parts);
                is_changed
            });
            sleep(PERIOD).await;

            let mut is_running = self.0.is_running.lock().unwrap_or_else(PoisonError::into_inner);
            if self.0.parts.is_closed() || state.stop.is_cancelled() {
                *is_running = false;
                return;
            }
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
