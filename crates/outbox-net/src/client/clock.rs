use std::time::SystemTime;

/// Returns the time of day. The clients read it here only, and all other times from tokio's clock, so that a test can
/// put both in the place of the real ones.
#[must_use]
pub fn wall_clock() -> SystemTime {
    SystemTime::now()
}
