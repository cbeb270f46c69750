use std::collections::VecDeque;
use std::sync::Arc;

use outbox_core::connector::IncludedMessages;
use outbox_core::record::{MessageContent, MessageReader};
use outbox_core::{ConnectorConfig, Error, Pipeline, TableLayout};

use super::catalog::TableRow;
use super::error::{DecodeError, RawRow};
use crate::position::Position;
use crate::tables::{ACCEPTED_LOSSES, Included};

/// Converts the content of logical decoding messages into rows.
#[derive(Debug)]
pub struct Messages {
    reader: MessageReader,
    included: IncludedMessages,
    /// The prefix of the latest message, and whether it is included: the expressions of the configuration are not
    /// evaluated for each message.
    latest: Option<(Box<str>, bool)>,
    config: ConnectorConfig,
    /// For messages with the same members of the same types, those of the latest first.
    bindings: VecDeque<Binding>,
}

/// The pipeline of messages of one shape.
#[derive(Debug)]
struct Binding {
    shape: MessageContent,
    pipeline: Result<Pipeline, Arc<Error>>,
}

/// The largest number of shapes that are kept. Producers of events use fewer.
const BINDINGS: usize = 64;

impl Messages {
    /// Returns `None` if the configuration includes no messages.
    pub fn of(included: &Included) -> Option<Self> {
        let (reader, prefixes) = included.messages()?.clone();
        Some(Self {
            reader,
            included: prefixes,
            latest: None,
            config: included.config().clone(),
            bindings: VecDeque::new(),
        })
    }

    /// Returns whether messages of the prefix are events.
    pub fn contains(&mut self, prefix: &str) -> bool {
        match &self.latest {
            Some((latest, is_included)) if **latest == *prefix => *is_included,
            _ => {
                let is_included = self.included.contains(prefix);
                self.latest = Some((prefix.into(), is_included));
                is_included
            }
        }
    }

    /// Reads the row that Debezium makes of a content.
    pub fn row(&mut self, content: &[u8], at: Position) -> Result<TableRow, DecodeError> {
        self.read(content).map_err(|source| DecodeError::Message { at, source, raw: RawRow::of_message(content) })
    }

    fn read(&mut self, content: &[u8]) -> Result<TableRow, Arc<Error>> {
        let content = self.reader.read(content).map_err(Arc::new)?;
        let pipeline = self.pipeline(&content)?;
        let row = content.into_row(pipeline.layout()).map_err(Arc::new)?;
        Ok(TableRow { pipeline, row })
    }

    fn pipeline(&mut self, content: &MessageContent) -> Result<Pipeline, Arc<Error>> {
        let known = self.bindings.iter().find(|binding| binding.shape.is_like(content));
        if let Some(binding) = known {
            return binding.pipeline.clone();
        }
        let layout = TableLayout::from_message(&self.config, content);
        let pipeline = layout.and_then(|layout| Pipeline::accepting(&ACCEPTED_LOSSES, self.config.clone(), layout));
        let pipeline = pipeline.map_err(Arc::new);
        self.bindings.truncate(BINDINGS - 1);
        self.bindings.push_front(Binding { shape: content.shape(), pipeline: pipeline.clone() });
        pipeline
    }
}
