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
use crate::{Error, Readiness};

/// Watches a pipeline's database: the slot, the WAL that it holds back, the publication, the table.
///
/// The role needs `pg_monitor`, and SELECT on the table to report the age of a row. Check every half minute or so: how
/// old what is unconfirmed is, is reported from what earlier checks saw.
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

    /// Looks at everything. It changes nothing in the database.
    ///
    /// # Errors
    /// The catalogs could not be read.
    pub async fn check(&mut self, client: &Client) -> Result<PipelineHealth, Error> {
        let now = now_millis(client).await?;
        let mut signs = Vec::new();
        let slot = slot::signs(client, &self.pipeline, &self.thresholds, &mut signs).await?;
        if let Some(slot) = slot {
            let known = self.samples.look(slot.confirmed, slot.written, now);
            signs.push(table::oldest_unconfirmed(client, &self.pipeline, &self.thresholds, known, now).await?);
        }
        table::signs(client, &self.pipeline, &self.thresholds, now, &mut signs).await?;
        for problem in Readiness::check_pipe(client, &self.pipeline).await?.problems() {
            let sign = Indicator::new("readiness", Measure::Bool(false), IndicatorStatus::Critical);
            signs.push(sign.threshold(Measure::Bool(true)).remedy(problem.to_string()));
        }
        Ok(PipelineHealth { signs })
    }
}

/// The result of a check, as data for metrics and for people.
#[derive(Clone, Debug)]
pub struct PipelineHealth {
    signs: Vec<Indicator>,
}

impl PipelineHealth {
    /// Returns all signs, the good ones too. A sign of the name `readiness` is there for each
    /// [`Problem`](crate::Problem).
    #[must_use]
    pub fn signs(&self) -> &[Indicator] {
        &self.signs
    }

    /// Returns the sign of a name.
    #[must_use]
    pub fn sign(&self, name: &str) -> Option<&Indicator> {
        self.signs.iter().find(|sign| sign.name == name)
    }

    /// Returns what to consider, although nothing is wrong: the signs with advice.
    pub fn advice(&self) -> impl Iterator<Item = &Indicator> {
        self.signs.iter().filter(|sign| sign.advice.is_some())
    }

    /// Returns the worst verdict. Advice does not count.
    #[must_use]
    pub fn verdict(&self) -> IndicatorStatus {
        self.signs.iter().map(|sign| sign.verdict).max().unwrap_or(IndicatorStatus::Good)
    }
}
