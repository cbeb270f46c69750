use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::error::StackError;

/// A request to stop, which every wait checks.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Creates an interrupt that is raised when `flag` becomes true, for example by a signal.
    pub fn new(flag: Arc<AtomicBool>) -> Self {
        Self(flag)
    }

    /// Returns whether the interrupt is raised.
    pub fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Returns an error once it is raised.
    pub fn check(&self) -> Result<(), StackError> {
        if self.is_raised() {
            return Err(StackError::new("interrupted"));
        }
        Ok(())
    }
}
