use std::time::SystemTime;

/// Returns the time of day. The clients read it only here, and all other times from tokio's clock, so that a test can
/// replace both.
#[must_use]
pub fn wall_clock() -> SystemTime {
    SystemTime::now()
}
