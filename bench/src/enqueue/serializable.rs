use serde::Serialize;
use tokio::task::JoinSet;
use tokio_postgres::IsolationLevel;
use tokio_postgres::error::SqlState;

use super::outbox_env::{OutboxEnv, OutboxEnvs, SynchronousCommit, Written};
use super::writer::{Way, Writer};
use crate::{Failure, Outcome};

/// Transactions that have nothing to do with each other, under SERIALIZABLE: how many PostgreSQL refused.
#[derive(Debug, Serialize)]
pub(super) struct Serializable {
    writers: u64,
    transactions: u64,
    without_outbox: u64,
    pub(super) keep: u64,
    pub(super) in_partitions: u64,
    pub(super) vanish: u64,
}

const WRITERS: u64 = 8;
/// Of each writer. No two of all these are about the same account.
const TRANSACTIONS: u64 = 1_000;

pub(super) async fn count(envs: &OutboxEnvs) -> Outcome<Serializable> {
    Ok(Serializable {
        writers: WRITERS,
        transactions: WRITERS * TRANSACTIONS,
        without_outbox: failures(&envs.keep, Way::None).await?,
        keep: failures(&envs.keep, Way::Cached).await?,
        in_partitions: failures(&envs.partitions, Way::Cached).await?,
        vanish: failures(&envs.vanish, Way::Cached).await?,
    })
}

async fn failures(env: &OutboxEnv, way: Way) -> Outcome<u64> {
    env.settle().await?;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let session = env.session(SynchronousCommit::On).await?;
        let isolation = IsolationLevel::Serializable;
        let mut writer = Writer::new(env, session, isolation, writer * TRANSACTIONS).await?;
        writers.spawn(async move {
            let mut refused = 0;
            for _ in 0..TRANSACTIONS {
                match writer.transaction(way, 1).await {
                    Ok(_) => {}
                    Err(error) if is_serialization_failure(&error) => refused += 1,
                    Err(error) => return Err(error),
                }
            }
            Ok::<_, Failure>((refused, writer.written()))
        });
    }

    let (mut refused, mut written) = (0, Written::default());
    while let Some(ended) = writers.join_next().await {
        let (failures, committed) = ended??;
        refused += failures;
        written += committed;
    }

    env.check(written).await?;
    Ok(refused)
}

fn is_serialization_failure(error: &Failure) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&**error);
    while let Some(error) = cause {
        let code = error.downcast_ref::<tokio_postgres::Error>().and_then(tokio_postgres::Error::code);
        if code == Some(&SqlState::T_R_SERIALIZATION_FAILURE) {
            return true;
        }
        cause = error.source();
    }
    false
}
