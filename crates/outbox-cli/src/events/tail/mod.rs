//! `outbox events tail`: shows events as they arrive in their topics, or as they are committed to the table.

mod event;
mod table;
mod topic;

use std::time::Duration;

use clap::{Args, ValueEnum};

use self::event::{Begin, Filter, Printer};
use super::topics::{no_topics, of_types};
use crate::consumer::StoreOptions;
use crate::exit::{Exit, Failure};
use crate::kafka::KafkaOptions;
use crate::model::ModelOptions;
use crate::output::Output;

/// The arguments of `outbox events tail`.
#[derive(Args)]
#[group(skip)]
pub(crate) struct Tail {
    /// The source of the events: records of their topics, or what is committed: rows of the table, or messages without
    /// one
    #[arg(long, value_enum, value_name = "SOURCE", default_value = "topic")]
    source: Source,
    /// Read this topic; may be repeated. Without it, the topics of --aggregate-type, or of the table's rows
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    #[command(flatten)]
    filter: Filter,

    /// Begin this number of records before the end of each partition, or with the last rows of the table
    #[arg(long, value_name = "EVENTS")]
    last: Option<u64>,
    /// Begin with the first record of each partition
    #[arg(long, conflicts_with_all = ["last", "offset"])]
    from_beginning: bool,
    /// Read this partition only
    #[arg(long, value_name = "PARTITION")]
    partition: Option<i32>,
    /// Begin at this offset of the partition
    #[arg(long, value_name = "OFFSET", requires = "partition", conflicts_with = "last")]
    offset: Option<i64>,

    /// Show the payloads
    #[arg(long)]
    payload: bool,
    /// End after this many events
    #[arg(long, value_name = "EVENTS")]
    limit: Option<u64>,
    /// End where the topics or the WAL end now, and do not wait for more
    #[arg(long)]
    no_follow: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Source {
    Topic,
    Table,
}

impl Tail {
    /// Rejects the options that the chosen source cannot satisfy, then prints events until the limit or the end is
    /// reached.
    pub(crate) async fn run(
        self,
        store: &StoreOptions,
        kafka: &KafkaOptions,
        model: &ModelOptions,
        output: Output,
        limit: Duration,
    ) -> Result<Exit, Failure> {
        let pipeline = model.pipeline_at(&store.database, limit).await?;
        let begin = match (self.last, self.offset) {
            (Some(last), _) => Begin::Last(last),
            (None, Some(offset)) => Begin::Offset(offset),
            (None, None) if self.from_beginning => Begin::Beginning,
            (None, None) => Begin::End,
        };
        let filter = self.filter.clone();
        let mut printer = Printer::new(output, filter, self.payload, self.limit);
        if self.limit == Some(0) {
            return Ok(Exit::Success);
        }

        match self.source {
            Source::Table => {
                if !self.topics.is_empty() || self.partition.is_some() || self.from_beginning {
                    let message = "--topic, --partition, --offset and --from-beginning are for --source topic";
                    return Err(Failure::usage(message));
                }
                if self.last.is_some() && !pipeline.layout().row_life().has_table() {
                    let message =
                        "without a table, only messages that are committed from now on can be shown: leave out --last";
                    return Err(Failure::usage(message));
                }
                let client = store.database.connect(limit).await?;
                table::tail(&client, &pipeline, self.last, self.no_follow, limit, &mut printer).await?;
            }
            Source::Topic => {
                let cluster = kafka.required_cluster(limit)?;
                let topics = if !self.topics.is_empty() {
                    self.topics
                } else if !self.filter.aggregate_types.is_empty() {
                    of_types(&pipeline, &self.filter.aggregate_types)?
                } else if !pipeline.layout().row_life().has_table() {
                    return Err(no_topics());
                } else {
                    let types = table::aggregate_types(&store.database.connect(limit).await?, &pipeline).await?;
                    of_types(&pipeline, &types)?
                };

                let range = topic::Range { partition: self.partition, begin, ends: self.no_follow };
                topic::tail(cluster, &pipeline, &topics, range, &mut printer).await?;
            }
        }
        Ok(Exit::Success)
    }
}
