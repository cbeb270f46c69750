use std::fmt::{Debug, Display};
use std::time::{Duration, Instant};

/// The longest wait for a state. Only a test that fails takes that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(20);

/// The outcome of one observation of a state: a `bool`, an `Option`, or a `Result` whose error is the state that was
/// seen instead.
pub trait Observation {
    /// The result of the wait.
    type Found;

    /// Returns the result, or a description of the state that was seen instead.
    ///
    /// # Errors
    /// Fails if the state is not reached yet.
    fn found(self) -> Result<Self::Found, String>;
}

impl Observation for bool {
    type Found = ();

    fn found(self) -> Result<(), String> {
        self.then_some(()).found()
    }
}

impl<T> Observation for Option<T> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.ok_or_else(String::new)
    }
}

impl<T, E: Debug> Observation for Result<T, E> {
    type Found = T;

    fn found(self) -> Result<T, String> {
        self.map_err(|seen| format!("; instead: {seen:?}"))
    }
}

/// Waits until a state is reached and returns what was found. It observes every 20 ms.
///
/// # Panics
/// Panics after five minutes, with the description of the state and the last observation.
pub async fn eventually<O: Observation>(state: impl Display, look: impl AsyncFnMut() -> O) -> O::Found {
    match in_time(look).await {
        Ok(found) => found,
        Err(seen) => panic!("not within {} s: {state}{seen}", PATIENCE.as_secs()),
    }
}

/// Waits until a state is reached, and returns the last observation if it is not.
pub(crate) async fn in_time<O: Observation>(mut look: impl AsyncFnMut() -> O) -> Result<O::Found, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match look().await.found() {
            Ok(found) => return Ok(found),
            Err(seen) if Instant::now() >= deadline => return Err(seen),
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}
