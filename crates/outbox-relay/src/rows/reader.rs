use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use outbox_core::Pipeline;
use outbox_core::layout::{ColumnValue, Row};

use super::catalog::{OutboxTables, TableRow};
use super::error::{BadValue, DecodeError, RawRow};
use super::messages::Messages;
use crate::Lsn;
use crate::position::Position;
use crate::settings::OnUpdate;
use outbox_wal::{Message, Relation, TableName, Tuple, TupleData};

/// An entry of the WAL about the outbox tables.
#[derive(Clone, Debug)]
pub enum WalEvent {
    /// A transaction begins. It may be without a row of a table.
    Begin { commit: Lsn, committed_at: SystemTime },
    /// A row was inserted, or a message emitted; `index` is its place among the messages and the inserts into all
    /// outbox tables in the transaction.
    Row { index: u32, row: TableRow },
    /// The transaction is complete; `end` is what the slot is confirmed at.
    Commit { end: Lsn },
}

/// Changes that were left out, as the EventRouter leaves them out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ignored {
    pub updates: u64,
    pub deletes: u64,
    pub truncates: u64,
    /// Logical messages (`pg_logical_emit_message`) of other prefixes.
    pub messages: u64,
    /// Changes of any kind to other tables of the publication.
    pub other_tables: u64,
}

/// Makes the messages of one session of decoding into events of the outbox tables.
#[derive(Debug)]
pub struct RowReader {
    outbox: OutboxTables,
    on_update: OnUpdate,
    tables: HashMap<u32, Table>,
    /// Messages that are events, if the configuration includes any.
    messages: Option<Messages>,
    /// The further events of the last message.
    pending: VecDeque<Result<WalEvent, DecodeError>>,
    transaction: Option<Position>,
    last_commit: Lsn,
    ignored: Ignored,
}

#[derive(Debug)]
enum Table {
    Outbox {
        name: Box<str>,
        columns: Vec<Box<str>>,
        binding: Result<Binding, Arc<outbox_core::Error>>,
    },
    /// The configuration includes it, and it was not there when the reader began.
    New,
    /// The configuration includes it, but keeps its rows from the router.
    NotRouted(Box<str>),
    Other,
}

/// The places of the columns of a described table in a row.
#[derive(Debug)]
struct Binding {
    pipeline: Pipeline,
    /// One for each described column: its place in the pipeline's layout, if a record needs it.
    targets: Vec<Option<usize>>,
}

impl Binding {
    fn new(pipeline: Pipeline, relation: &Relation<'_>) -> Self {
        let target = |name: &str| pipeline.layout().columns().iter().position(|column| column.name().as_str() == name);
        let targets = relation.columns.iter().map(|described| target(described.name)).collect();
        Self { pipeline, targets }
    }
}

impl RowReader {
    pub fn new(outbox: OutboxTables, on_update: OnUpdate) -> Self {
        Self {
            messages: Messages::of(&outbox.included),
            outbox,
            on_update,
            tables: HashMap::new(),
            pending: VecDeque::new(),
            transaction: None,
            last_commit: Lsn::default(),
            ignored: Ignored::default(),
        }
    }

    /// Forgets a session that broke off: the next one reports its tables, and its transactions from their begin.
    pub fn reset(&mut self) {
        self.tables.clear();
        self.pending.clear();
        self.transaction = None;
    }

    /// Returns a further event of the last message.
    pub fn take_pending(&mut self) -> Option<Result<WalEvent, DecodeError>> {
        self.pending.pop_front()
    }

    /// Returns the counts since the last call.
    pub fn take_ignored(&mut self) -> Ignored {
        std::mem::take(&mut self.ignored)
    }

    /// Returns whether a transaction has begun and not ended: a keepalive's LSN then does not show what was received.
    pub fn is_in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Takes the next message.
    ///
    /// After an error with a [`row`](DecodeError::row) the reader continues with the row after it, which keeps its
    /// index.
    pub fn read(&mut self, message: &[u8]) -> Result<Option<WalEvent>, DecodeError> {
        let decoded =
            Message::decode(message).map_err(|source| DecodeError::Malformed { after: self.last_commit, source })?;
        match decoded {
            Message::Begin { commit, micros, .. } => {
                if self.transaction.is_some() {
                    return Err(self.out_of_place("a transaction begins within another"));
                }
                self.transaction = Some(Position { commit, index: 0 });
                Ok(Some(WalEvent::Begin { commit, committed_at: instant(micros) }))
            }
            Message::Commit { commit, end, .. } => match self.transaction.take() {
                Some(begun) if begun.commit == commit => {
                    self.last_commit = commit;
                    Ok(Some(WalEvent::Commit { end }))
                }
                _ => Err(self.out_of_place("a commit of no transaction that began")),
            },
            Message::Insert { relation, new } => self.insert(relation, new),
            Message::Relation(relation) => {
                let table = self.table(&relation);
                self.tables.insert(relation.id, table);
                Ok(None)
            }
            Message::Update { relation, .. } => self.update(relation),
            Message::Delete { relation, .. } => {
                self.routed(relation)?;
                self.ignore(&[relation], |ignored| &mut ignored.deletes)
            }
            Message::Truncate { relations, .. } => self.ignore(&relations, |ignored| &mut ignored.truncates),
            Message::Logical { transactional, lsn, prefix, content } => {
                if !self.messages.as_mut().is_some_and(|messages| messages.contains(prefix)) {
                    self.ignored.messages += 1;
                    return Ok(None);
                }
                match transactional {
                    true => self.message(content).map(Some),
                    false => self.message_by_itself(lsn, content).map(Some),
                }
            }
            Message::Origin { .. } | Message::Type { .. } => Ok(None),
        }
    }

    fn table(&self, relation: &Relation<'_>) -> Table {
        let OutboxTables { included, known, gone, .. } = &self.outbox;
        let name = TableName::from((relation.schema.to_owned(), relation.name.to_owned()));

        // Another table may have the name now.
        let by_id = known.iter().find(|table| table.oids.contains(&relation.id));
        let pipeline = match by_id.or_else(|| known.iter().find(|table| table.name == name)) {
            Some(known) => self.outbox.as_described(&known.name, &known.columns, &relation.columns),
            None if !included.contains(&name) => return Table::Other,
            None if !included.routes(&name) => return Table::NotRouted(name.to_string().into()),
            None if !gone.contains(&relation.id) => return Table::New,
            None => self.outbox.as_described(&name, &[], &relation.columns),
        };
        let columns = relation.columns.iter().map(|column| column.name.into()).collect();
        let binding = pipeline.map(|pipeline| Binding::new(pipeline, relation)).map_err(Arc::new);
        Table::Outbox { name: name.to_string().into(), columns, binding }
    }

    fn insert(&mut self, relation: u32, new: Tuple<'_>) -> Result<Option<WalEvent>, DecodeError> {
        self.routed(relation)?;
        let (names, binding) = match self.tables.get(&relation) {
            None => return Err(self.out_of_place("a row of a table that was not described")),
            Some(Table::New) => return Err(DecodeError::NewTable { oid: relation }),
            Some(Table::Other | Table::NotRouted(_)) => {
                self.ignored.other_tables += 1;
                return Ok(None);
            }
            Some(Table::Outbox { columns, binding, .. }) => (columns, binding),
        };

        let Some(at) = self.transaction else { return Err(self.out_of_place("a row outside a transaction")) };
        let Some(next) = at.index.checked_add(1) else { return Err(self.out_of_place("more than 2^32 rows")) };
        // The next row has the next index even if this one is unreadable, as after a message.
        self.transaction = Some(Position { index: next, ..at });
        let binding = binding.as_ref().map_err(|source| DecodeError::Table {
            at,
            source: Arc::clone(source),
            raw: RawRow::new(names, new),
        })?;

        if binding.targets.len() != usize::from(new.columns) {
            return Err(self.out_of_place("a row of other columns than its table was described with"));
        }

        let row = TableRow { row: row(names, binding, new, at)?, pipeline: binding.pipeline.clone() };
        Ok(Some(WalEvent::Row { index: at.index, row }))
    }

    /// Takes a message of the open transaction.
    fn message(&mut self, content: &[u8]) -> Result<WalEvent, DecodeError> {
        let Some(at) = self.transaction else { return Err(self.out_of_place("a message outside a transaction")) };
        let Some(next) = at.index.checked_add(1) else { return Err(self.out_of_place("more than 2^32 rows")) };
        self.transaction = Some(Position { index: next, ..at });
        let Some(messages) = &mut self.messages else { return Err(self.out_of_place("a message that is not read")) };
        messages.row(content, at).map(|row| WalEvent::Row { index: at.index, row })
    }

    /// Takes a message that belongs to no transaction: PostgreSQL sends it between those that commit before and after
    /// it. It becomes a transaction with its LSN, whose further entries are pending.
    fn message_by_itself(&mut self, lsn: Lsn, content: &[u8]) -> Result<WalEvent, DecodeError> {
        if self.transaction.is_some() {
            return Err(self.out_of_place("a message without a transaction within one"));
        }
        self.transaction = Some(Position { commit: lsn, index: 0 });
        let row = self.message(content);
        self.transaction = None;
        self.last_commit = lsn;
        // The slot skips it after a position beyond its first byte is confirmed.
        let end = Lsn::new(lsn.as_u64().saturating_add(1));
        self.pending.extend([row, Ok(WalEvent::Commit { end })]);
        Ok(WalEvent::Begin { commit: lsn, committed_at: outbox_net::wall_clock() })
    }

    fn update(&mut self, relation: u32) -> Result<Option<WalEvent>, DecodeError> {
        self.routed(relation)?;
        match (self.on_update, self.tables.get(&relation)) {
            (OnUpdate::Fatal, Some(Table::New)) => Err(DecodeError::NewTable { oid: relation }),
            (OnUpdate::Fatal, Some(Table::Outbox { name, .. })) => {
                Err(DecodeError::Update { commit: self.commit()?, table: name.clone() })
            }
            _ => self.ignore(&[relation], |ignored| &mut ignored.updates),
        }
    }

    /// Checks that a change is none of a table that the router does not see: Debezium would write it as a change event.
    fn routed(&self, relation: u32) -> Result<(), DecodeError> {
        match self.tables.get(&relation) {
            Some(Table::NotRouted(table)) => {
                Err(DecodeError::NotRouted { commit: self.commit()?, table: table.clone() })
            }
            _ => Ok(()),
        }
    }

    fn ignore(
        &mut self,
        relations: &[u32],
        count: fn(&mut Ignored) -> &mut u64,
    ) -> Result<Option<WalEvent>, DecodeError> {
        for relation in relations {
            match self.tables.get(relation) {
                None => return Err(self.out_of_place("a change of a table that was not described")),
                Some(Table::Other | Table::NotRouted(_)) => self.ignored.other_tables += 1,
                Some(Table::Outbox { .. } | Table::New) => *count(&mut self.ignored) += 1,
            }
        }
        Ok(None)
    }

    fn commit(&self) -> Result<Lsn, DecodeError> {
        match self.transaction {
            Some(at) => Ok(at.commit),
            None => Err(self.out_of_place("a change outside a transaction")),
        }
    }

    fn out_of_place(&self, what: &'static str) -> DecodeError {
        DecodeError::OutOfPlace { after: self.last_commit, what }
    }
}

fn row(names: &[Box<str>], binding: &Binding, new: Tuple<'_>, at: Position) -> Result<Row, DecodeError> {
    let layout = binding.pipeline.layout();
    let mut values = vec![ColumnValue::Null; layout.columns().len()];

    for (target, data) in binding.targets.iter().zip(new.data()) {
        let Some((index, column)) = target.and_then(|index| Some((index, layout.columns().get(index)?))) else {
            continue;
        };
        let value = match data {
            TupleData::Null => continue,
            TupleData::Text(text) => super::datum::parse(column.ty(), text),
            TupleData::Unchanged | TupleData::Binary(_) => Err(BadValue::NotText),
        };
        let value = value.map_err(|reason| DecodeError::Value {
            at,
            column: column.name().as_str().into(),
            reason,
            raw: RawRow::new(names, new),
        })?;

        if let Some(slot) = values.get_mut(index) {
            *slot = value;
        }
    }
    Row::new(layout, values).map_err(|source| DecodeError::Row { at, source, raw: RawRow::new(names, new) })
}

/// Converts microseconds since 2000.
fn instant(micros: i64) -> SystemTime {
    const EPOCH: Duration = Duration::from_secs(946_684_800);
    let (epoch, distance) = (UNIX_EPOCH + EPOCH, Duration::from_micros(micros.unsigned_abs()));
    let instant = if micros < 0 { epoch.checked_sub(distance) } else { epoch.checked_add(distance) };
    instant.unwrap_or(epoch)
}
