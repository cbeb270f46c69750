use clap::Args;
use outbox_core::Pipeline;
use outbox_core::event::AggregateType;

use crate::exit::Failure;

/// The topics of an outbox that keeps no rows.
#[derive(Args)]
#[group(skip)]
pub(crate) struct Topics {
    /// Read this topic if no row names one; may be repeated
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    /// Read the topic of this aggregate type if no row names one; may be repeated
    #[arg(long = "aggregate-type", value_name = "TYPE")]
    aggregate_types: Vec<String>,
}

impl Topics {
    pub(super) fn names(self, pipeline: &Pipeline) -> Result<Vec<String>, Failure> {
        let of_types = match self.aggregate_types.is_empty() {
            true => Vec::new(),
            false => of_types(pipeline, &self.aggregate_types)?,
        };
        Ok(self.topics.into_iter().chain(of_types).collect())
    }
}

/// Returns the topics of aggregate types.
pub(super) fn of_types(pipeline: &Pipeline, types: &[String]) -> Result<Vec<String>, Failure> {
    let topic = |name: &String| -> Result<String, Failure> {
        let no_topic = |e: &(dyn std::error::Error + 'static)| {
            Failure::usage(format!("the aggregate type {name} has no topic: give --topic")).caused_by(e)
        };
        let ty: AggregateType = name.parse().map_err(|e| no_topic(&e))?;
        pipeline.topic(&ty).map_err(|e| no_topic(&e))
    };
    let mut topics = types.iter().map(topic).collect::<Result<Vec<_>, _>>()?;
    topics.sort_unstable();
    topics.dedup();

    match topics.is_empty() {
        true => Err(Failure::usage("the table has no rows that name topics: give --topic or --aggregate-type")),
        false => Ok(topics),
    }
}

/// Returns the failure of a command that needs topics, which no row names.
pub(super) fn no_topics() -> Failure {
    Failure::usage("no rows are kept that name topics: give --topic or --aggregate-type")
}
