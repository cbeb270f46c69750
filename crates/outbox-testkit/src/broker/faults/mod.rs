//! Faults that happen on demand.

mod fault;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use kafka_protocol::ResponseError;
use tokio::sync::watch;
use uuid::Uuid;

pub use self::fault::Fault;
use self::fault::Times;
pub(super) use self::fault::{Effect, Place, RequestEffect};
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

    /// Injects a fault, which happens to the next matching requests until it is used up or lifted.
    ///
    /// If several match one partition, the first injected one happens.
    pub fn inject(&self, fault: Fault) -> Injected {
        let rule = Arc::new(Rule::new(fault));
        self.with_rules(|rules| rules.push(Arc::clone(&rule)));
        Injected(rule)
    }

    /// Removes all faults, and thaws the broker. Batches held for a late append stay held.
    pub fn lift_all(&self) {
        self.with_rules(|rules| rules.drain(..).for_each(|rule| rule.lift()));
        self.thaw();
    }

    /// Freezes the broker: it accepts connections and requests, and answers nothing.
    ///
    /// After it is [thawed](Self::thaw), it handles the requests that it received, even if the client has disconnected.
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

    /// Returns the fault of one partition of a request, and uses it once.
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

    /// Returns the fault of a whole request with these parts, and uses it once.
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

/// A fault that was injected. Dropping this does not lift it.
#[derive(Debug, Clone)]
pub struct Injected(Arc<Rule>);

impl Injected {
    /// Ends the fault. Its past effects stay.
    pub fn lift(&self) {
        self.0.lift();
    }

    /// Returns how often the fault has happened.
    #[must_use]
    pub fn struck(&self) -> usize {
        *self.0.struck.borrow()
    }

    /// Waits until the fault has happened at least this number of times. The future may be dropped, and the call
    /// repeated.
    pub async fn until_struck(&self, times: usize) {
        // The sender lives in `self`: waiting cannot fail.
        let _ = self.0.struck.subscribe().wait_for(|struck| *struck >= times).await;
    }

    /// Returns how many batches are held for a late append.
    #[must_use]
    pub fn held(&self) -> usize {
        self.0.with_held(|held| held.len())
    }

    /// Appends the batches that are held, in the order in which they came.
    ///
    /// Each has the offset of its first record, or why it was not appended: the checks are those of any append, so that
    /// a batch that was sent again meanwhile, and is known by its sequence, has the offset that it got then.
    pub fn release(&self) -> Vec<Result<i64, ResponseError>> {
        self.0.with_held(std::mem::take).into_iter().map(|late| (late.append)()).collect()
    }
}

/// The state that connections and [`Injected`] share.
#[derive(Debug)]
pub(super) struct Rule {
    fault: Fault,
    left: Mutex<Times>,
    struck: watch::Sender<usize>,
    held: Mutex<Vec<LateAppend>>,
}

impl Rule {
    fn new(fault: Fault) -> Self {
        let left = Mutex::new(fault.times);
        Self { fault, left, struck: watch::Sender::new(0), held: Mutex::default() }
    }

    fn effect(&self) -> Effect {
        self.fault.effect
    }

    fn fits(&self, api: Api, place: Place<'_>) -> bool {
        self.fault.fits(api, place)
    }

    fn is_on_request(&self, api: Api) -> bool {
        self.fault.is_on_request(api)
    }

    fn is_left(&self) -> bool {
        self.with_left(|left| *left != Times::Left(0))
    }

    /// Uses the fault once. Returns `false` if it is used up.
    fn strike(&self) -> bool {
        self.with_left(|left| match left {
            Times::UntilLifted => true,
            Times::Left(0) => false,
            Times::Left(times) => {
                *times -= 1;
                true
            }
        })
    }

    fn lift(&self) {
        self.with_left(|left| *left = Times::Left(0));
    }

    /// Notes that it has happened.
    pub(super) fn happened(&self) {
        self.struck.send_modify(|struck| *struck += 1);
    }

    pub(super) fn hold(&self, late: LateAppend) {
        self.with_held(|held| held.push(late));
    }

    fn with_left<T>(&self, use_left: impl FnOnce(&mut Times) -> T) -> T {
        use_left(&mut self.left.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn with_held<T>(&self, use_held: impl FnOnce(&mut Vec<LateAppend>) -> T) -> T {
        use_held(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A batch whose connection was closed, and which is to be appended later.
pub(super) struct LateAppend {
    topic: Uuid,
    partition: i32,
    append: Box<dyn FnOnce() -> Result<i64, ResponseError> + Send>,
}

impl LateAppend {
    /// Creates the append of a batch to a partition; `append` returns the offset of the first record.
    pub(super) fn new(
        topic: Uuid,
        partition: i32,
        append: impl FnOnce() -> Result<i64, ResponseError> + Send + 'static,
    ) -> Self {
        Self { topic, partition, append: Box::new(append) }
    }
}

impl fmt::Debug for LateAppend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (topic, partition) = (&self.topic, &self.partition);
        f.debug_struct("LateAppend").field("topic", topic).field("partition", partition).finish_non_exhaustive()
    }
}
