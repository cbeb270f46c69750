use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::run_env::RunEnv;
use crate::{Outcome, rows};

/// The number of rows a second, each in its own transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) rows_per_second: u32,
    /// The number of connections that take turns; a divisor of the number of aggregates, so that an aggregate has one
    /// writer.
    pub(crate) writers: u64,
}

/// The times at which each number was known to be committed.
pub(crate) type Commits = Vec<(u64, Instant)>;

/// Writers at work. A writer that falls behind continues without a pause until it has caught up.
#[derive(Debug)]
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    issued: Arc<AtomicU64>,
    writers: JoinSet<Outcome<Commits>>,
}

impl Load {
    /// Writes these numbers, unless it is ended before.
    pub(crate) async fn start(env: &RunEnv, rate: Rate, numbers: Range<u64>) -> Outcome<Self> {
        let (stop, issued) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(numbers.start)));
        let mut clients = Vec::new();

        for _ in 0..rate.writers {
            let client = env.client().await;
            let insert = client.prepare(&rows::insert(env.table(), "(SELECT $1::bigint AS n) AS numbers")).await?;
            clients.push((client, insert));
        }

        let begin = Instant::now();
        let mut writers = JoinSet::new();

        for (own, (client, insert)) in (0..).zip(clients) {
            let (stop, issued, numbers) = (Arc::clone(&stop), Arc::clone(&issued), numbers.clone());
            writers.spawn(async move {
                let mut commits = Commits::new();
                let first = numbers.start;
                let mut number = first + own;

                while number < numbers.end && !stop.load(Ordering::Relaxed) {
                    let due =
                        begin + Duration::from_secs_f64((number - first) as f64 / f64::from(rate.rows_per_second));
                    tokio::time::sleep_until(due.into()).await;
                    issued.fetch_max(number + 1, Ordering::Relaxed);
                    client.execute(&insert, &[&i64::try_from(number)?]).await?;
                    commits.push((number, Instant::now()));
                    number += rate.writers;
                }
                Ok(commits)
            });
        }
        Ok(Self { stop, issued, writers })
    }

    /// Returns a bound: the numbers begun so far are below it.
    pub(crate) fn issued(&self) -> u64 {
        self.issued.load(Ordering::Relaxed)
    }

    /// Waits until all is written.
    pub(crate) async fn finish(mut self) -> Outcome<Commits> {
        let mut commits = Commits::new();
        while let Some(writer) = self.writers.join_next().await {
            commits.extend(writer??);
        }
        Ok(commits)
    }

    /// Writes no more.
    pub(crate) async fn end(self) -> Outcome<Commits> {
        self.stop.store(true, Ordering::Relaxed);
        self.finish().await
    }
}
