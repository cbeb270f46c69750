use serde::Serialize;

use crate::output::{Part, Report, or_dash};
use crate::wording::in_commands;

/// The result of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    /// It was not checked, because of another check that failed or an option that was not given.
    Skipped,
    Ok,
    /// Events arrive, and something should be done.
    Warning,
    /// Events do not arrive, or soon will not, or may be lost.
    Failed,
}

/// One check with its result.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Check {
    pub(super) name: String,
    pub(super) status: Status,
    pub(super) found: String,
    remedy: Option<String>,
}

impl Check {
    pub(super) fn new(name: impl Into<String>, status: Status, found: impl Into<String>) -> Self {
        Self { name: name.into(), status, found: in_commands(found), remedy: None }
    }

    pub(super) fn ok(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, found)
    }

    pub(super) fn warning(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(name, Status::Warning, found)
    }

    pub(super) fn failed(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(name, Status::Failed, found)
    }

    pub(super) fn skipped(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self::new(name, Status::Skipped, found)
    }

    pub(super) fn remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(in_commands(remedy)), ..self }
    }
}

/// All checks, in the order in which an event passes the components. If several checks cover one component, the worst
/// result counts.
#[derive(Debug, Default, Serialize)]
pub(super) struct Checks {
    checks: Vec<Check>,
}

impl Checks {
    pub(super) fn add(&mut self, check: Check) {
        match self.checks.iter_mut().find(|known| known.name == check.name) {
            Some(known) if known.status < check.status => *known = check,
            // Two failures of one component are two findings.
            Some(known) if check.status >= Status::Warning && known.found != check.found => self.checks.push(check),
            Some(_) => {}
            None => self.checks.push(check),
        }
    }

    pub(super) fn extend(&mut self, checks: impl IntoIterator<Item = Check>) {
        checks.into_iter().for_each(|check| self.add(check));
    }

    /// Returns the worst result.
    pub(super) fn worst(&self) -> Status {
        self.checks.iter().map(|check| check.status).max().unwrap_or(Status::Skipped)
    }
}

impl Report for Checks {
    fn parts(&self) -> Vec<Part> {
        let word = |status| match status {
            Status::Skipped => "skipped",
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Failed => "failed",
        };

        let row = |check: &Check| {
            let Check { name, status, found, remedy } = check;
            vec![word(*status).to_owned(), name.clone(), found.clone(), or_dash(remedy.as_deref())]
        };
        let rows: Vec<_> = self.checks.iter().map(row).collect();
        let count = |status| self.checks.iter().filter(|check| check.status == status).count();
        let (failed, warnings) = (count(Status::Failed), count(Status::Warning));
        let total = format!("{} checks: {failed} failed, {warnings} warnings", self.checks.len());
        vec![Part::Sentences { head: &["status", "check", "found", "remedy"], rows }, Part::Line(total)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_result_of_a_thing_is_kept() {
        let mut checks = Checks::default();
        checks.extend([Check::ok("slot", "there"), Check::failed("slot", "lost"), Check::warning("slot", "slow")]);
        checks.extend([Check::ok("slot", "there"), Check::failed("slot", "lost"), Check::failed("table", "gone")]);
        let found: Vec<_> = checks.checks.iter().map(|check| (check.name.as_str(), check.found.as_str())).collect();
        assert_eq!(found, [("slot", "lost"), ("slot", "slow"), ("table", "gone")]);
        assert_eq!(checks.worst(), Status::Failed);
    }
}
