use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use kafka_protocol::ResponseError;
use tokio::sync::watch;
use uuid::Uuid;

use super::fault::{Effect, Fault, Place, Times};
use crate::broker::wire::Api;

/// A fault that was injected. Dropping this does not lift it.
#[derive(Debug, Clone)]
pub struct Injected(Arc<Rule>);

impl Injected {
    pub(super) fn new(rule: Arc<Rule>) -> Self {
        Self(rule)
    }

    /// Ends it; what it has done stays done.
    pub fn lift(&self) {
        self.0.lift();
    }

    /// Returns how often the fault has happened.
    #[must_use]
    pub fn struck(&self) -> usize {
        *self.0.struck.borrow()
    }

    /// Returns once it has happened at least that many times. It may be dropped and called again.
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
pub(in crate::broker) struct Rule {
    fault: Fault,
    left: Mutex<Times>,
    struck: watch::Sender<usize>,
    held: Mutex<Vec<LateAppend>>,
}

impl Rule {
    pub(super) fn new(fault: Fault) -> Self {
        let left = Mutex::new(fault.times);
        Self { fault, left, struck: watch::Sender::new(0), held: Mutex::default() }
    }

    pub(super) fn effect(&self) -> Effect {
        self.fault.effect
    }

    pub(super) fn fits(&self, api: Api, place: Place<'_>) -> bool {
        self.fault.fits(api, place)
    }

    pub(super) fn is_on_request(&self, api: Api) -> bool {
        self.fault.is_on_request(api)
    }

    pub(super) fn is_left(&self) -> bool {
        self.with_left(|left| *left != Times::Left(0))
    }

    /// Uses it up by once; false if there is nothing left of it.
    pub(super) fn strike(&self) -> bool {
        self.with_left(|left| match left {
            Times::UntilLifted => true,
            Times::Left(0) => false,
            Times::Left(times) => {
                *times -= 1;
                true
            }
        })
    }

    pub(super) fn lift(&self) {
        self.with_left(|left| *left = Times::Left(0));
    }

    /// Notes that it has happened.
    pub(in crate::broker) fn happened(&self) {
        self.struck.send_modify(|struck| *struck += 1);
    }

    pub(in crate::broker) fn hold(&self, late: LateAppend) {
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
pub(in crate::broker) struct LateAppend {
    topic: Uuid,
    partition: i32,
    append: Box<dyn FnOnce() -> Result<i64, ResponseError> + Send>,
}

impl LateAppend {
    /// Creates the append of a batch to a partition; `append` returns the offset of the first record.
    pub(in crate::broker) fn new(
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
