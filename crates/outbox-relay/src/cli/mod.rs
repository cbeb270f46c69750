//! The commands of the program `outbox-relay`, for programs that offer them as well.
//!
//! They print to standard output, log to standard error, and end with the same codes everywhere.

mod arguments;
mod check;
mod command_outcome;
mod logging;
#[cfg_attr(not(feature = "otlp"), path = "no_otlp.rs")]
mod otlp;
mod run;
mod servers;

pub use self::arguments::{RunArguments, seconds};
pub use self::check::{CheckArguments, ReportForm, check};
pub use self::command_outcome::CommandOutcome;
pub use self::run::run;
