//! Faults that happen on demand.

mod fault;
mod injected;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

pub use self::fault::Fault;
pub(super) use self::fault::{Effect, Place, RequestEffect};
pub use self::injected::Injected;
pub(super) use self::injected::{LateAppend, Rule};
use super::wire::Api;

/// The faults of one broker. Clones are the same faults.
#[derive(Debug, Clone)]
pub struct Faults {
    rules: Arc<Mutex<Vec<Arc<Rule>>>>,
    frozen: watch::Sender<Pace>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pace {
    Moving,
    Frozen,
}

impl Faults {
    pub(super) fn new() -> Self {
        Self { rules: Arc::default(), frozen: watch::Sender::new(Pace::Moving) }
    }

    /// Lets a fault happen to the next requests that it is for, until it is used up or lifted.
    ///
    /// If several are for one partition, the one that was injected first happens.
    pub fn inject(&self, fault: Fault) -> Injected {
        let rule = Arc::new(Rule::new(fault));
        self.with_rules(|rules| rules.push(Arc::clone(&rule)));
        Injected::new(rule)
    }

    /// Lifts all faults, and thaws. Batches held for a late append stay held.
    pub fn lift_all(&self) {
        self.with_rules(|rules| rules.drain(..).for_each(|rule| rule.lift()));
        self.thaw();
    }

    /// Lets the broker pause as one that is paused: it accepts connections and requests, and answers nothing.
    ///
    /// It handles the requests that it got after it is [thawed](Self::thaw), even if the client has gone by then.
    pub fn freeze(&self) {
        self.frozen.send_replace(Pace::Frozen);
    }

    /// Lets a frozen broker continue.
    pub fn thaw(&self) {
        self.frozen.send_replace(Pace::Moving);
    }

    /// Returns at once unless the broker is frozen.
    pub(super) async fn thawed(&self) {
        // The sender lives in `self`: waiting cannot fail.
        let _ = self.frozen.subscribe().wait_for(|pace| *pace == Pace::Moving).await;
    }

    /// Takes the fault that happens to one partition of a request; it is used up by once.
    pub(super) fn strike(&self, api: Api, place: Place<'_>) -> Option<(Effect, Arc<Rule>)> {
        self.with_rules(|rules| {
            rules.retain(|rule| rule.is_left());
            let fits = |rule: &Arc<Rule>| !rule.is_on_request(api) && rule.fits(api, place) && rule.strike();
            let struck = rules.iter().find(|rule| fits(rule));
            struck.map(|rule| (rule.effect(), Arc::clone(rule)))
        })
    }

    /// Returns whether a fault is left that happens to whole requests for an API.
    pub(super) fn has_on_request(&self, api: Api) -> bool {
        self.with_rules(|rules| rules.iter().any(|rule| rule.is_left() && rule.is_on_request(api)))
    }

    /// Takes the fault that happens to a whole request, which has these parts; it is used up by once.
    pub(super) fn strike_request(&self, api: Api, places: &[Place<'_>]) -> Option<(RequestEffect, Arc<Rule>)> {
        self.with_rules(|rules| {
            let fits = |rule: &Arc<Rule>| places.iter().any(|place| rule.fits(api, *place)) && rule.strike();
            rules.iter().find_map(|rule| match rule.effect() {
                Effect::OnRequest(effect) if fits(rule) => Some((effect, Arc::clone(rule))),
                _ => None,
            })
        })
    }

    fn with_rules<T>(&self, use_rules: impl FnOnce(&mut Vec<Arc<Rule>>) -> T) -> T {
        use_rules(&mut self.rules.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
