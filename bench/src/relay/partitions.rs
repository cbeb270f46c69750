use tokio::task::block_in_place;
use xtask::stack::KafkaCluster;

use super::drain::{self, Comparison};
use super::engine::Kind;
use super::options::Options;
use super::results::Results;
use super::setting::{SHAPES, Setting};
use crate::{Outcome, report};

/// The larger number of partitions; the smaller one is 1.
pub(super) const MANY: i32 = 300;

/// Drains of one partition and of many in turn, each time on the same three brokers with three replicas.
///
/// Each topic gets two backlogs: with the first one the brokers create the segments and indexes of its partitions, and
/// with the second one they append to what is there.
pub(super) async fn run(setting: &Setting, options: &Options, results: &mut Results) -> Outcome<()> {
    report("starting three brokers");
    let cluster = block_in_place(|| start(setting))?;
    let [shape, _] = SHAPES;
    let mut setting = Setting::new(setting.stack.clone(), setting.relay.clone(), setting.runs.clone(), MANY);
    setting.cluster = Some(cluster);

    // While the first rows arrive, the brokers' JVMs compile; this drain has no figure.
    report("warming up the brokers");
    drain::run(&setting, Kind::Relay, shape, options.rows / 3 + 1, Comparison::Nothing).await?;

    for round in 1..=options.rounds {
        for partitions in [1, MANY] {
            report(&format!("round {round} of {}, {partitions} partitions", options.rounds));
            setting.partitions = partitions;
            let (env, rows) = (setting.env().await?, options.rows);
            for numbers in [0..rows, rows..2 * rows] {
                results.clustered(drain::of(&setting, &env, Kind::Relay, shape, numbers, Comparison::Nothing).await);
            }
        }
    }
    Ok(())
}

fn start(setting: &Setting) -> Outcome<KafkaCluster> {
    let builder = setting.stack.kafka_cluster()?;
    Ok(builder.jvm_options(["-Xmx512m", "-Djava.awt.headless=true"]).start()?)
}
