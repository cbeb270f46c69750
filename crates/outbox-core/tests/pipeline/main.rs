#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod causes;
mod cloud_events;
mod contradictions;
mod decoding;
mod documented;
mod events;
mod fixtures;
mod golden;
mod hostile;
mod messages;
mod oracle;
mod own_columns;
mod pipeline_builder;
mod record_limit;
mod recorder;
mod records;
mod round_trip;
mod rules;
mod strategies;
mod texts;
mod transformations;
mod typed_events;
