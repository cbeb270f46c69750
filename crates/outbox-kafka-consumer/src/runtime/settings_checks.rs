use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// The number of checks of all settings per second and process, and not only of the listed ones. A check takes
/// PostgreSQL about a millisecond.
const PER_SECOND: f64 = 20.;
/// The number of such checks that may be made in a row.
const BURST: f64 = 50.;

/// The settings that handlers of this process change, as far as is known.
pub struct SettingsChecks {
    budget: Mutex<Budget>,
    /// The settings that handlers have changed until the end of their transaction only.
    local: Mutex<BTreeSet<String>>,
}

struct Budget {
    checks: f64,
    at: Instant,
}

impl Default for SettingsChecks {
    fn default() -> Self {
        Self { budget: Mutex::new(Budget { checks: BURST, at: Instant::now() }), local: Mutex::default() }
    }
}

impl SettingsChecks {
    /// Returns whether a transaction checks all settings.
    pub fn is_due(&self) -> bool {
        let (mut budget, now) = (lock(&self.budget), Instant::now());
        let earned = now.duration_since(budget.at).as_secs_f64() * PER_SECOND;
        *budget = Budget { checks: (budget.checks + earned).min(BURST), at: now };
        let is_due = budget.checks >= 1.;
        if is_due {
            budget.checks -= 1.;
        }
        is_due
    }

    /// Notes a setting that a handler had changed, and that had its value again after the transaction.
    pub fn note_local(&self, name: &str) {
        let mut local = lock(&self.local);
        if !local.contains(name) {
            local.insert(name.to_owned());
        }
    }

    /// Returns whether handlers change this setting for their transaction only, as far as is known.
    pub fn is_local(&self, name: &str) -> bool {
        lock(&self.local).contains(name)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
