//! `outbox events`: traces single events, and verifies that all of them arrived.

mod rows;
mod show;
mod tail;
mod topics;
mod verify;

use std::time::Duration;

use clap::Subcommand;
use outbox_core::Pipeline;
use outbox_kafka_consumer::outbox_kafka::Cluster;
use tokio_postgres::Client;

use self::rows::{Period, event_id};
use self::show::Shown;
use self::tail::Tail;
use self::topics::Topics;
use self::verify::Verified;
use crate::consumer::StoreOptions;
use crate::exit::{Exit, Failure};
use crate::kafka::KafkaOptions;
use crate::model::ModelOptions;
use crate::output::Output;

const EXAMPLES: &str = "Examples:
  outbox events show 0198c5b2-6b1e-7c3a-9f57-1d2e3f4a5b6c --brokers kafka:9092
  outbox events show 0198c5b2-6b1e-7c3a-9f57-1d2e3f4a5b6c --brokers kafka:9092 --row-life message --aggregate-type order
  outbox events tail --brokers kafka:9092 --aggregate-type order --last 10
  outbox events tail --source table --aggregate-id 7 --output json
  outbox events verify --brokers kafka:9092 --last 3600
  outbox events verify --brokers kafka:9092 --from 2026-05-01T12:00:00Z --to 2026-05-01T13:00:00Z";

#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum EventsCommand {
    /// Follows one event: its row, its records in the topic, and what consumer groups did with it
    ///
    /// Exit code: 1 if the row has no record.
    Show {
        /// The event's id, as the table and the header id have it
        #[arg(value_parser = event_id)]
        id: String,
        #[command(flatten)]
        topics: Topics,
    },
    /// Shows events as they arrive in their topics, or as they are committed, until SIGINT
    ///
    /// Records are read like a consumer reads them: those of committed transactions, in the order of each partition,
    /// without a consumer group. Topics and partitions that are created later are not read. Rows are decoded from the
    /// WAL by a temporary slot, which needs REPLICATION; so rows that vanish are shown as well.
    Tail(Box<Tail>),
    /// Compares the rows of the table with the records of their topics
    ///
    /// It reports events without a record, events with several records, and events whose record comes before that of an
    /// older event of the same aggregate. Exit code: 1 if an event is missing or out of order; duplicates are legal. If
    /// rows are not kept, only duplicates can be found.
    Verify {
        #[command(flatten)]
        topics: Topics,
        #[command(flatten)]
        period: Period,
        /// List at most this many events of each kind
        #[arg(long, value_name = "EVENTS", default_value_t = 20)]
        list: usize,
    },
}

impl EventsCommand {
    pub(crate) async fn run(
        self,
        store: &StoreOptions,
        kafka: &KafkaOptions,
        model: &ModelOptions,
        output: Output,
        limit: Duration,
    ) -> Result<Exit, Failure> {
        match self {
            Self::Tail(tail) => Box::pin(tail.run(store, kafka, model, output, limit)).await,
            Self::Show { id, topics } => {
                let Servers { pipeline, cluster, client } = Servers::connect(store, kafka, model, limit).await?;
                let topics = topics.names(&pipeline)?;
                let shown = Shown::find(&client, &cluster, &pipeline, &store.consumer_schema, &id, topics).await?;
                output.print(&shown)?;
                Ok(if shown.is_published() { Exit::Success } else { Exit::Finding })
            }
            Self::Verify { topics, period, list } => {
                if !model.layout().row_life().keeps_rows() {
                    let topics = topics.names(&model.pipeline_at(&store.database, limit).await?)?;
                    let cluster = kafka.required_cluster(limit)?;
                    output.print(&Verified::without_rows(&cluster, &topics, &period, list).await?)?;
                    return Ok(Exit::Success);
                }
                let Servers { pipeline, cluster, client } = Servers::connect(store, kafka, model, limit).await?;
                let verified = Verified::compare(&client, &cluster, &pipeline, &period, list).await?;
                output.print(&verified)?;
                Ok(if verified.is_good() { Exit::Success } else { Exit::Finding })
            }
        }
    }
}

/// Both servers, and the pipeline's model.
struct Servers {
    pipeline: Pipeline,
    cluster: Cluster,
    client: Client,
}

impl Servers {
    async fn connect(
        store: &StoreOptions,
        kafka: &KafkaOptions,
        model: &ModelOptions,
        limit: Duration,
    ) -> Result<Self, Failure> {
        let pipeline = model.pipeline_at(&store.database, limit).await?;
        let cluster = kafka.required_cluster(limit)?;
        let client = store.database.connect(limit).await?;
        Ok(Self { pipeline, cluster, client })
    }
}
