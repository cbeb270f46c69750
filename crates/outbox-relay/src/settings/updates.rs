use super::Finding;
use super::resolved::Resolved;

/// The reaction of the relay to an UPDATE of an outbox table (`table.op.invalid.behavior`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OnUpdate {
    /// Ignores it: the connector skips updates before the router sees them (`skipped.operations`).
    Skip,
    /// Ignores it, with a warning.
    #[default]
    Warn,
    /// Ignores it, with an error.
    Error,
    /// Stops the relay before the update's transaction.
    Fatal,
}

impl OnUpdate {
    /// Returns the strictest behavior of all routers.
    pub(super) fn of(config: &Resolved) -> Result<Self, Finding> {
        let mut behaviors = config.routers().into_iter().map(|router| Self::of_router(config, router));
        behaviors.try_fold(Self::Skip, |strictest, behavior| Ok(strictest.max(behavior?)))
    }

    fn of_router(config: &Resolved, router: &str) -> Result<Self, Finding> {
        let key = format!("transforms.{router}.table.op.invalid.behavior");
        let behavior = match config.get(&key).unwrap_or("warn").to_ascii_lowercase().as_str() {
            "warn" => Self::Warn,
            "error" => Self::Error,
            "fatal" => Self::Fatal,
            _ => return Err(Finding::new(key, "it is one of warn, error, fatal")),
        };

        let skipped = config.get("skipped.operations").unwrap_or("t");
        let is_skipped = skipped.split(',').any(|operation| operation.trim().eq_ignore_ascii_case("u"));
        // Kafka Connect skips a record at which a transformation fails.
        let is_tolerated = config.get("errors.tolerance").is_some_and(|value| value.eq_ignore_ascii_case("all"));
        Ok(match behavior {
            _ if is_skipped => Self::Skip,
            Self::Fatal if is_tolerated => Self::Error,
            behavior => behavior,
        })
    }
}
