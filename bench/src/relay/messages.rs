use outbox_core::RowLife;

use super::drain::{self, Comparison, Drain};
use super::engine::Kind;
use super::limit::Peek;
use super::options::Options;
use super::results::Results;
use super::setting::Setting;
use crate::run_env::{RunEnv, Shape};
use crate::{Outcome, report};

/// Lets the relay drain rows and messages in turn, each in a transaction with an UPDATE of another table.
pub(super) async fn run(setting: &Setting, options: &Options, results: &mut Results) {
    for round in 1..=options.rounds {
        for life in [RowLife::Keep, RowLife::Message] {
            report(&format!("messages compared with rows, round {round} of {}: {life:?}", options.rounds));
            results.business(life, drain_of(setting, options.rows, life).await);
        }
    }
}

async fn drain_of(setting: &Setting, rows: u64, life: RowLife) -> Outcome<(Drain, Option<Peek>)> {
    let env = RunEnv::create_with_business(setting.partitions, life).await?;
    drain::of(setting, &env, Kind::Relay, Shape::Transactions(1), 0..rows, Comparison::Nothing).await
}
