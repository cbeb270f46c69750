use std::process::Stdio;
use std::time::{Duration, Instant};

use clap::Args;
use deadpool_postgres::{Manager, Pool};
use outbox_core::Pipeline;
use outbox_kafka_consumer::{Consumer, Reader, with};
use serde::Serialize;
use tokio::process::{Child, Command};
use tokio_postgres::NoTls;

use super::effects::{Calls, Effect, apply};
use super::events::{EFFECT, FullTopic};
use crate::process::{peak_resident_mb, resident_mb};
use crate::{Outcome, report};

/// The memory of a consumer's process with 200 partitions, after it has handled all events.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Idle {
    /// With the default reader.
    pub(super) rss_mb: f64,
    rskafka: Measured,
    native: Measured,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Measured {
    rss_mb: f64,
    peak_mb: Option<f64>,
    open_files: usize,
    /// Seconds of processor time for each second without events.
    processor: f64,
}

/// The options of the measured process.
#[derive(Clone, Debug, Args)]
pub(crate) struct Options {
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    database: String,
    /// The beginning of the topic's name
    #[arg(long)]
    prefix: String,
    #[arg(long)]
    native: bool,
}

const PARTITIONS: i32 = 200;
const EVENTS: u64 = 4_000;
const PATIENCE: Duration = Duration::from_secs(300);
const IDLE: Duration = Duration::from_secs(15);

pub(super) async fn measure() -> Outcome<Idle> {
    let full = FullTopic::create(PARTITIONS, EVENTS).await?;
    let rskafka = of(&full, Reader::Auto).await?;
    let native = of(&full, Reader::Native).await?;
    drop(full);
    report(&format!("  {:.0} MiB by default, {:.0} MiB natively", rskafka.rss_mb, native.rss_mb));
    Ok(Idle { rss_mb: rskafka.rss_mb, rskafka, native })
}

async fn of(full: &FullTopic, reader: Reader) -> Outcome<Measured> {
    full.reset().await?;
    let mut child = start(full, reader)?;
    let pid = child.id().ok_or("the consumer ended at once")?;
    let pool = full.env.pool_of(1);
    let begun = Instant::now();
    while full.effects(&pool).await?.0 < EVENTS {
        if begun.elapsed() > PATIENCE || child.try_wait()?.is_some() {
            return Err("the consumer has not handled all events".into());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    let mut rss_mb = 0_f64;
    let (begun, used) = (Instant::now(), crate::process::used_seconds(pid));
    while begun.elapsed() < IDLE {
        tokio::time::sleep(Duration::from_millis(500)).await;
        rss_mb = rss_mb.max(resident_mb(pid).ok_or("the consumer has ended")?);
    }
    let used = crate::process::used_seconds(pid).unwrap_or_default() - used.unwrap_or_default();
    let processor = used / begun.elapsed().as_secs_f64();
    let open_files = std::fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    let measured = Measured { rss_mb, peak_mb: peak_resident_mb(pid), open_files, processor };
    child.kill().await?;
    Ok(measured)
}

fn start(full: &FullTopic, reader: Reader) -> Outcome<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    let topic = full.env.topic();
    let (prefix, _) = topic.rsplit_once('.').ok_or("the topic's name has no prefix")?;
    command.arg("idle-consumer").args(["--brokers", full.env.brokers(), "--database", full.env.url()]);
    command.args(["--prefix", prefix]).stdout(Stdio::null()).kill_on_drop(true);
    if reader == Reader::Native {
        command.arg("--native");
    }
    Ok(command.spawn()?)
}

/// Consumes until it is ended.
pub(crate) async fn run(options: Options) -> Outcome<()> {
    let config = Pipeline::recommended()
        .config()
        .clone()
        .with("transforms.outbox.route.topic.replacement", format!("{}.${{routedByValue}}", options.prefix));
    let pipeline = Pipeline::new(config, Pipeline::recommended().layout().clone())?;
    let pool = Pool::builder(Manager::new(options.database.parse()?, NoTls)).max_size(24).build()?;
    let consumer = Consumer::builder([options.brokers])
        .pipeline(pipeline)
        .group(if options.native { "native" } else { "default" })
        .reader(if options.native { Reader::Native } else { Reader::Auto })
        .pool(pool)
        .on(with(Effect::new(EFFECT, Calls::default()), apply))
        .build()?;
    Ok(consumer.run(std::future::pending()).await?)
}
