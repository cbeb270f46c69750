use std::fmt;

/// The activity of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// It is on its way to the slot, for the first time or again.
    Connecting,
    /// Another process holds the slot; this one waits.
    Standby,
    /// It holds the slot, and reads what was written before it took it.
    CatchUp,
    /// It holds the slot, and reads what is written.
    Live,
    /// It was instructed to stop, and waits for what was sent.
    Draining,
    /// It has ended.
    Stopped,
}

impl Mode {
    pub(super) const ALL: [Self; 6] =
        [Self::Connecting, Self::Standby, Self::CatchUp, Self::Live, Self::Draining, Self::Stopped];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Standby => "standby",
            Self::CatchUp => "catch-up",
            Self::Live => "live",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether a relay does its work. `Display` says it in words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Readiness {
    /// It holds the slot and moves.
    Ready,
    /// Another process holds the slot, and this one would take over: nothing is wrong.
    Standby(String),
    /// It does not do its work; the reason is in words.
    NotReady(String),
}

impl Readiness {
    /// Returns whether it holds the slot and moves.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self == Self::Ready
    }
}

impl fmt::Display for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready => f.write_str("ready"),
            Self::Standby(reason) => write!(f, "standby: {reason}"),
            Self::NotReady(reason) => write!(f, "not ready: {reason}"),
        }
    }
}
