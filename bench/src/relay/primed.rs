//! The beginning of a measurement under load.

use std::time::Duration;

use super::engine::{Engine, Kind};
use super::setting::Setting;
use crate::Outcome;
use crate::run_env::{RunEnv, Shape};
use crate::tail::Tail;

/// Rows that report that the engine is at work. They have the first numbers, and no figure counts them.
pub(super) const PRIMERS: u64 = 10;
/// The time that the first records may take, and those after a restart.
pub(super) const START: Duration = Duration::from_secs(120);

/// Starts an engine, and a reader at the end of its topic, and waits until the first records came.
pub(super) async fn start(setting: &Setting, kind: Kind) -> Outcome<(RunEnv, Tail, Engine)> {
    let env = RunEnv::create(setting.partitions).await?;
    let mut tail = Tail::start(&env.topic).await?;
    env.fill(Shape::Transactions(1), 0..PRIMERS).await?;
    let (mut engine, _) = Engine::start(kind, setting, &env)?;
    let primed = tail.wait(START, "the first records came", |received| received.ledger.distinct() == PRIMERS).await;
    engine.judged(primed)?;
    Ok((env, tail, engine))
}
