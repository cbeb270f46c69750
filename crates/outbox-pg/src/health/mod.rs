//! The health indicators of a running pipeline in PostgreSQL. An indicator is a function of `slot.rs` or `table.rs`.
//! `readiness/` has the checks before the first event, which the monitor repeats.

mod indicator;
mod samples;
mod slot;
mod table;
mod thresholds;

use outbox_core::Pipeline;
use tokio_postgres::Client;

pub use self::indicator::{Indicator, IndicatorStatus, Measure};
pub use self::thresholds::Thresholds;

use self::samples::Samples;
use crate::maintenance::now_millis;
use crate::session::Session;
use crate::{Error, Readiness};

/// Watches a pipeline's database: the slot, the WAL that it holds back, the publication, the table.
///
/// The role needs `pg_monitor`, and SELECT on the table to report the age of a row. Check every half minute or so: the
/// age of unconfirmed WAL is computed from earlier checks.
#[derive(Debug)]
pub struct PipelineMonitor {
    pipeline: Pipeline,
    thresholds: Thresholds,
    samples: Samples,
}

impl PipelineMonitor {
    /// Creates a monitor that has seen nothing yet.
    #[must_use]
    pub fn new(pipeline: Pipeline, thresholds: Thresholds) -> Self {
        Self { pipeline, thresholds, samples: Samples::default() }
    }

    /// Checks every indicator. It changes nothing in the database.
    ///
    /// # Errors
    /// The catalogs could not be read.
    pub async fn check(&mut self, client: &Client) -> Result<PipelineHealth, Error> {
        self.check_on(&client.into()).await
    }

    pub(crate) async fn check_on(&mut self, client: &Session<'_>) -> Result<PipelineHealth, Error> {
        let now = now_millis(client).await?;
        let mut indicators = Vec::new();
        let slot = slot::indicators(client, &self.pipeline, &self.thresholds, &mut indicators).await?;
        if let Some(slot) = slot {
            let known = self.samples.look(slot.confirmed, slot.written, now);
            indicators.push(table::oldest_unconfirmed(client, &self.pipeline, &self.thresholds, known, now).await?);
        }

        table::indicators(client, &self.pipeline, &self.thresholds, now, &mut indicators).await?;
        for problem in Readiness::check_pipeline(client, &self.pipeline).await?.problems() {
            let indicator = Indicator::new("readiness", Measure::Bool(false), IndicatorStatus::Critical);
            indicators.push(indicator.threshold(Measure::Bool(true)).remedy(problem.to_string()));
        }
        Ok(PipelineHealth { indicators })
    }
}

/// The result of a check, as data for metrics and for people.
#[derive(Clone, Debug)]
pub struct PipelineHealth {
    indicators: Vec<Indicator>,
}

impl PipelineHealth {
    /// Returns all indicators, the good ones too. There is one named `readiness` for each [`Problem`](crate::Problem).
    #[must_use]
    pub fn indicators(&self) -> &[Indicator] {
        &self.indicators
    }

    /// Returns the indicator with this name.
    #[must_use]
    pub fn indicator(&self, name: &str) -> Option<&Indicator> {
        self.indicators.iter().find(|indicator| indicator.name == name)
    }

    /// Returns the indicators with advice: nothing is wrong, but a setting may be better.
    pub fn advice(&self) -> impl Iterator<Item = &Indicator> {
        self.indicators.iter().filter(|indicator| indicator.advice.is_some())
    }

    /// Returns the worst status. Advice does not count.
    #[must_use]
    pub fn status(&self) -> IndicatorStatus {
        self.indicators.iter().map(|indicator| indicator.status).max().unwrap_or(IndicatorStatus::Good)
    }
}
