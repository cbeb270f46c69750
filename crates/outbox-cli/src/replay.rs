use std::io::{IsTerminal as _, stderr};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use outbox_core::time::OffsetDateTime;
use outbox_core::time::format_description::well_known::Rfc3339;
use outbox_core::uuid::Uuid;
use outbox_core::{EventId, Pipeline};
use outbox_pg::{Replay, ReplayProgress, Republish};
use serde::Serialize;
use tokio_postgres::Client;

use crate::exit::{Exit, Failure};
use crate::model::ModelOptions;
use crate::output::{Output, Part, Report, notice, or_dash};
use crate::postgres::DatabaseOptions;
use crate::prompt::Confirmation;

/// The time between two lines of the progress.
const PROGRESS: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "Examples:
  outbox slot create outbox --recreate
  outbox replay run lost-slot --missed --dry-run
  outbox replay run lost-slot --missed
  outbox replay run order-7 --aggregate-type order --aggregate-id 7 --from 2026-05-01T00:00:00Z
  outbox replay list";

#[derive(Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum ReplayCommand {
    /// Publishes rows of a kept table again, with their ids, next to live traffic
    ///
    /// It deletes the rows and inserts them again in batches, so that the connector or the relay sends them. A consumer
    /// with an inbox handles each event once; others handle it again. Their header outbox-replay has the name of the
    /// replay. The role must own the table.
    ///
    /// An interrupted replay continues when it is run again with the same name and options.
    Run(Box<Run>),
    /// Lists the replays: how many events each has published, and whether it is finished
    List,
}

#[derive(Args)]
#[group(skip)]
pub(crate) struct Run {
    /// The name of the replay, 1 to 100 characters
    name: String,
    #[command(flatten)]
    selection: Selection,
    /// Publish this many events in each transaction
    #[arg(long, value_name = "EVENTS", default_value_t = 500)]
    batch: u32,
    /// Pause this long between two transactions, to leave room for live traffic
    #[arg(long, value_name = "SECONDS", value_parser = outbox_relay::cli::seconds)]
    pause: Option<Duration>,
    /// Only count the events that the replay has still to publish
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    confirmation: Confirmation,
}

/// The rows of a replay: those that fit all options.
#[derive(Args)]
#[group(required = true, multiple = true)]
struct Selection {
    /// The rows that no slot has published: those committed after the position that a lost or dropped slot had
    /// confirmed
    #[arg(long)]
    missed: bool,
    /// All rows
    #[arg(long, conflicts_with_all = ["missed", "from", "to", "id", "aggregate_type", "aggregate_id", "event_type"])]
    all: bool,
    /// Events from this time on, as 2026-05-01T12:00:00Z, by the time in their ids
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<OffsetDateTime>,
    /// Events before this time
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<OffsetDateTime>,
    /// The event with this id; may be repeated
    #[arg(long, value_name = "ID")]
    id: Vec<Uuid>,
    /// Events of this aggregate type
    #[arg(long, value_name = "TYPE")]
    aggregate_type: Option<String>,
    /// Events of aggregates with this id
    #[arg(long, value_name = "ID")]
    aggregate_id: Option<String>,
    /// Events of this type
    #[arg(long, value_name = "TYPE")]
    event_type: Option<String>,
}

impl ReplayCommand {
    /// Counts the rows and asks for consent before it publishes them, because consumers without an inbox handle them
    /// again.
    pub(crate) async fn run(
        self,
        database: &DatabaseOptions,
        model: &ModelOptions,
        output: Output,
        limit: Duration,
    ) -> Result<Exit, Failure> {
        let pipeline = model.pipeline_at(database, limit).await?;
        match self {
            Self::List => {
                let client = database.connect(limit).await?;
                let replays = Republish::list(&client, &pipeline).await.map_err(|e| failure(&e))?;
                output.print(&Listed { replays: replays.into_iter().map(State::of).collect() })?;
            }
            Self::Run(run) => {
                let replay = run.selection.of(pipeline.clone())?.batch_size(run.batch);
                let mut client = database.connect(limit).await?;
                let remaining = replay.remaining(&client, &run.name).await.map_err(|e| failure(&e))?;
                if run.dry_run {
                    output.print(&Counted { name: run.name, remaining })?;
                    return Ok(Exit::Success);
                }
                if remaining > 0 {
                    let question = format!("Publish {remaining} events again? Consumers without an inbox repeat them.");
                    run.confirmation.ask(&question)?;
                }

                let before = Republish::list(&client, &pipeline).await.map_err(|e| failure(&e))?;
                let before =
                    before.iter().find(|known| known.name == run.name).map_or(0, |known| known.progress.events);
                let progress = publish(&replay, &mut client, &run, before + remaining, output).await?;
                output.print(&Finished::of(run.name, progress))?;
            }
        }
        Ok(Exit::Success)
    }
}

impl Selection {
    fn of(&self, pipeline: Pipeline) -> Result<Republish, Failure> {
        let mut replay = if self.missed { Republish::missed(pipeline) } else { Republish::rows(pipeline) };
        if let Some(from) = self.from {
            replay = replay.from_time(from);
        }
        if let Some(to) = self.to {
            replay = replay.to_time(to);
        }

        for id in &self.id {
            let event =
                EventId::try_from(*id).map_err(|e| Failure::usage(format!("{id} is no event's id")).caused_by(&e))?;
            replay = replay.id(event);
        }

        if let Some(aggregate_type) = &self.aggregate_type {
            replay = replay.aggregate_type(aggregate_type);
        }
        if let Some(aggregate_id) = &self.aggregate_id {
            replay = replay.aggregate_id(aggregate_id);
        }
        if let Some(event_type) = &self.event_type {
            replay = replay.event_type(event_type);
        }
        Ok(replay)
    }
}

/// The progress on standard error: a bar on a terminal, and a line from time to time elsewhere.
enum Progress {
    Bar(ProgressBar),
    Lines { total: u64, reported: Instant },
    Silent,
}

impl Progress {
    fn new(total: u64, output: Output) -> Self {
        match output {
            Output::Table if stderr().is_terminal() => {
                let style = ProgressStyle::with_template("{bar:40} {pos} of {len} events, {eta} left");
                Self::Bar(ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())))
            }
            Output::Table => Self::Lines { total, reported: Instant::now() },
            _ => Self::Silent,
        }
    }

    fn report(&mut self, events: u64) {
        match self {
            Self::Bar(bar) => bar.set_position(events),
            Self::Lines { total, reported } if reported.elapsed() >= PROGRESS => {
                notice(&format!("{events} of {total} events"));
                *reported = Instant::now();
            }
            Self::Lines { .. } | Self::Silent => {}
        }
    }
}

/// Publishes the batches, and reports the progress.
async fn publish(
    replay: &Republish,
    client: &mut Client,
    run: &Run,
    total: u64,
    output: Output,
) -> Result<ReplayProgress, Failure> {
    let mut shown = Progress::new(total, output);
    loop {
        let progress = replay.step(client, &run.name).await.map_err(|e| failure(&e))?;
        shown.report(progress.events);
        if progress.is_finished {
            return Ok(progress);
        }
        tokio::time::sleep(run.pause.unwrap_or_default()).await;
    }
}

fn failure(error: &outbox_pg::Error) -> Failure {
    let message = "the replay cannot be run";
    match error.is_configuration() {
        true => Failure::usage(message).caused_by(error),
        false => Failure::server(message).caused_by(error),
    }
}

pub(crate) fn instant(text: &str) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(text, &Rfc3339).map_err(|_| "it is written 2026-05-01T12:00:00Z".to_owned())
}

fn written(at: OffsetDateTime) -> String {
    at.format(&Rfc3339).unwrap_or_default()
}

#[derive(Serialize)]
struct Counted {
    name: String,
    remaining: u64,
}

impl Report for Counted {
    fn parts(&self) -> Vec<Part> {
        vec![Part::Line(format!("{} events would be published again", self.remaining))]
    }
}

#[derive(Serialize)]
struct Finished {
    name: String,
    /// The number of events that the replay has published, over all its runs.
    events: u64,
    last_id: Option<String>,
}

impl Finished {
    fn of(name: String, progress: ReplayProgress) -> Self {
        Self { name, events: progress.events, last_id: progress.last_id.map(|id| id.to_string()) }
    }
}

impl Report for Finished {
    fn parts(&self) -> Vec<Part> {
        vec![Part::Line(format!("{} is finished: {} events published again", self.name, self.events))]
    }
}

#[derive(Serialize)]
struct Listed {
    replays: Vec<State>,
}

#[derive(Serialize)]
struct State {
    name: String,
    events: u64,
    last_id: Option<String>,
    started_at: String,
    finished_at: Option<String>,
}

impl State {
    fn of(replay: Replay) -> Self {
        let Finished { name, events, last_id } = Finished::of(replay.name, replay.progress);
        let (started_at, finished_at) = (written(replay.started_at), replay.finished_at.map(written));
        Self { name, events, last_id, started_at, finished_at }
    }
}

impl Report for Listed {
    fn parts(&self) -> Vec<Part> {
        let row = |one: &State| {
            let finished = one.finished_at.as_deref().unwrap_or("not finished").to_owned();
            let events = one.events.to_string();
            vec![one.name.clone(), events, or_dash(one.last_id.as_deref()), one.started_at.clone(), finished]
        };
        let head = &["name", "events", "last id", "started", "finished"];
        vec![Part::Table { head, rows: self.replays.iter().map(row).collect() }]
    }
}
