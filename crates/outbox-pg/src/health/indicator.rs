//! An indicator: its name, its value, its status, and the remedy. `COMMANDS` in `wording.rs` of `outbox-cli` has the
//! command for each item of the library that a remedy names.

use std::fmt;
use std::time::Duration;

/// One health indicator of a pipeline, as [`PipelineMonitor`](crate::PipelineMonitor) reports it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Indicator {
    /// Its name, fit for a metric: `wal_held_back`.
    pub name: &'static str,
    /// The value that was found.
    pub value: Measure,
    /// The limit above or below which the value is not good, or the expected value. A position has none.
    pub threshold: Option<Measure>,
    /// The meaning of the value.
    pub status: IndicatorStatus,
    /// The remedy, if the status is not good.
    pub remedy: Option<String>,
    /// A suggestion, although nothing is wrong.
    pub advice: Option<String>,
}

impl Indicator {
    pub(super) fn new(name: &'static str, value: Measure, status: IndicatorStatus) -> Self {
        Self { name, value, threshold: None, status, remedy: None, advice: None }
    }

    pub(super) fn remedy(self, remedy: impl Into<String>) -> Self {
        if self.status == IndicatorStatus::Good { self } else { Self { remedy: Some(remedy.into()), ..self } }
    }

    pub(super) fn advice(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    pub(super) fn threshold(self, threshold: Measure) -> Self {
        Self { threshold: Some(threshold), ..self }
    }
}

impl fmt::Display for Indicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.value)?;
        self.remedy.iter().chain(&self.advice).try_for_each(|remedy| write!(f, ": {remedy}"))
    }
}

/// A measured value.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Measure {
    /// It could not be reported, or not yet.
    Unknown,
    /// Yes or no.
    Bool(bool),
    /// A number of bytes.
    Bytes(u64),
    /// A span of time.
    Span(Duration),
    /// A setting, a name, a position in the WAL.
    Text(String),
}

impl Measure {
    /// Returns the value of a gauge: bytes, seconds, 0 or 1. Text and unknown values have none.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a gauge of bytes needs no more than 53 bits")]
    pub fn gauge(&self) -> Option<f64> {
        match self {
            Self::Unknown | Self::Text(_) => None,
            Self::Bool(value) => Some(f64::from(u8::from(*value))),
            Self::Bytes(bytes) => Some(*bytes as f64),
            Self::Span(span) => Some(span.as_secs_f64()),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown"),
            Self::Bool(value) => value.fmt(f),
            Self::Bytes(bytes) => write!(f, "{bytes} bytes"),
            Self::Span(span) => write!(f, "{span:?}"),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// The meaning of an indicator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum IndicatorStatus {
    /// All is well.
    Good,
    /// Whether all is well is not known yet.
    Unknown,
    /// It works, and something should be done.
    Warning,
    /// Events do not move, or soon will not, or may be lost.
    Critical,
}

impl IndicatorStatus {
    pub(super) fn good_if(is_good: bool, otherwise: Self) -> Self {
        if is_good { Self::Good } else { otherwise }
    }
}
