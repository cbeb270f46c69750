use crate::{ColumnType, ColumnValue, EventField, OutboxEvent, Row, RowLife, TableLayout};

/// The INSERTs of an outbox table, as text, for the crates that send them by a driver.
///
/// Each takes the values of [`columns`](Self::columns) in their order: the first form a value for each column, the
/// second an array for each. Without a table ([`RowLife::Message`]) they are queries that emit messages, each of one
/// text, and return a row for each.
#[derive(Clone, Debug)]
pub struct InsertSql {
    /// The layout of the messages, if there is no table.
    messages: Option<TableLayout>,
    one: String,
    many: String,
    one_if_new: String,
    many_if_new: String,
    has_unique_id: String,
    columns: Vec<(usize, ColumnType)>,
}

/// The most bytes of one INSERT of many events, far from the protocol's limit of 1 GiB for a message.
const BATCH_BYTES: usize = 8 << 20;

impl InsertSql {
    /// Creates the INSERTs into a table.
    #[must_use]
    pub fn into_table(layout: &TableLayout) -> Self {
        if let Some(prefix) = layout.message_prefix() {
            return Self::of_messages(layout.clone(), &prefix);
        }

        let table = layout.qualified_name();
        let filled = || layout.columns().iter().enumerate().filter(|(_, column)| column.is_filled());
        let columns: Vec<_> = filled().map(|(index, column)| (index, column.ty())).collect();
        let names = filled().map(|(_, column)| column.name().to_string()).collect::<Vec<_>>().join(", ");
        let numbered = |of: &dyn Fn(usize) -> String| (1..=columns.len()).map(of).collect::<Vec<_>>().join(", ");
        let values = numbered(&|n| format!("${n}"));
        let aliases = numbered(&|n| format!("c{n}"));
        let one = format!("INSERT INTO {table} ({names}) VALUES ({values})");

        // Ordered by ordinality: the WAL, and with it every topic, has the events in the caller's order.
        let many = format!(
            "INSERT INTO {table} ({names}) SELECT {aliases} FROM unnest({values}) WITH ORDINALITY AS event ({aliases}, n) \
             ORDER BY n"
        );
        Self {
            // Without a conflict target: to name one takes the right to SELECT.
            one_if_new: format!("{one} ON CONFLICT DO NOTHING"),
            many_if_new: format!("{many} ON CONFLICT DO NOTHING"),
            has_unique_id: has_unique_id(layout),
            one,
            many,
            columns,
            messages: None,
        }
    }

    fn of_messages(layout: TableLayout, prefix: &str) -> Self {
        // As text, because sqlx asks the server about a type that it does not know, such as pg_lsn, and loses the unnamed
        // statement by that.
        let emit = |content| {
            format!("pg_catalog.pg_logical_emit_message(true, {}, {content})::pg_catalog.text", literal(prefix))
        };
        let one = format!("SELECT {}", emit("$1"));

        // A volatile function is called after the sort.
        let content = emit("content");
        let many = format!("SELECT {content} FROM unnest($1) WITH ORDINALITY AS event (content, n) ORDER BY n");
        Self {
            one_if_new: one.clone(),
            many_if_new: many.clone(),
            has_unique_id: "SELECT false".into(),
            one,
            many,
            columns: vec![(0, ColumnType::Text)],
            messages: Some(layout),
        }
    }

    /// Returns a row as it is sent: itself, or the content of its message.
    #[must_use]
    pub fn sent(&self, row: Row) -> Row {
        match &self.messages {
            None => row,
            Some(layout) => Row::of_content(layout.content(&row)),
        }
    }

    /// Returns the INSERT of one event.
    #[must_use]
    pub fn one(&self) -> &str {
        &self.one
    }

    /// Returns the INSERT of events in their order.
    #[must_use]
    pub fn many(&self) -> &str {
        &self.many
    }

    /// Returns the INSERT of one event that does nothing if the event exists.
    #[must_use]
    pub fn one_if_new(&self) -> &str {
        &self.one_if_new
    }

    /// Returns the INSERT of events in their order that skips those that exist.
    #[must_use]
    pub fn many_if_new(&self) -> &str {
        &self.many_if_new
    }

    /// Returns the query whether the table recognises an event by its id: by a unique index, which `ON CONFLICT` needs,
    /// or by the table of kept ids. It reads the catalogs only, and needs no privilege.
    #[must_use]
    pub fn has_unique_id(&self) -> &str {
        &self.has_unique_id
    }

    /// Returns the types of the columns that an event fills, in the order of the statements' parameters.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = ColumnType> {
        self.columns.iter().map(|(_, ty)| *ty)
    }

    /// Returns the values of these columns in a row that [`sent`](Self::sent) returns.
    pub fn values<'a>(&'a self, row: &'a Row) -> impl ExactSizeIterator<Item = &'a ColumnValue> {
        self.columns.iter().map(|(index, _)| row.get(*index))
    }

    /// Returns how many events go into each of the INSERTs that carry them: 8 MiB, or one event.
    #[must_use]
    pub fn batch_lengths(events: &[OutboxEvent]) -> Vec<usize> {
        let mut lengths = Vec::new();
        let (mut length, mut bytes) = (0, 0);
        for event in events {
            let size = event.stored_size();
            if length > 0 && bytes + size > BATCH_BYTES {
                lengths.push(std::mem::take(&mut length));
                bytes = 0;
            }
            length += 1;
            bytes += size;
        }

        if length > 0 {
            lengths.push(length);
        }
        lengths
    }
}

fn has_unique_id(layout: &TableLayout) -> String {
    if layout.row_life() == RowLife::DeleteOnInsertKeepIds {
        return "SELECT true".into();
    }
    let id = layout.column_of(EventField::Id).map_or("id", |column| column.name().as_str());
    format!(
        "SELECT to_regclass({table}) IS NULL OR EXISTS (
             SELECT FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = indkey[0]
             WHERE indrelid = to_regclass({table}) AND attname = {id} AND indnkeyatts = 1 AND indisunique AND indimmediate
                 AND indisvalid AND indpred IS NULL)",
        table = literal(&layout.qualified_name()),
        id = literal(id),
    )
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Identifier;

    #[test]
    fn a_message_is_one_text_with_its_prefix() {
        let layout =
            TableLayout::messages().named(Identifier::new("it's").unwrap(), Identifier::new("Outbox").unwrap());
        let insert = InsertSql::into_table(&layout);
        assert_eq!(insert.one, "SELECT pg_catalog.pg_logical_emit_message(true, 'it''s.Outbox', $1)::pg_catalog.text");
        assert_eq!(insert.columns().collect::<Vec<_>>(), [ColumnType::Text]);
    }

    #[test]
    fn names_are_quoted_and_foreign_columns_left_out() {
        let layout = TableLayout::classic(Identifier::new("a\"b").unwrap(), Identifier::new("Outbox").unwrap());
        let insert = InsertSql::into_table(&layout);
        assert_eq!(
            insert.one,
            "INSERT INTO \"a\"\"b\".\"Outbox\" (\"id\", \"aggregatetype\", \"aggregateid\", \"type\", \"payload\") \
             VALUES ($1, $2, $3, $4, $5)"
        );
        assert!(insert.many.ends_with("SELECT c1, c2, c3, c4, c5 FROM unnest($1, $2, $3, $4, $5) WITH ORDINALITY AS event (c1, c2, c3, c4, c5, n) ORDER BY n"), "{}", insert.many);
    }

    #[test]
    fn batches_hold_every_event_once_and_keep_to_their_size() {
        let event = |bytes: usize| {
            OutboxEvent::builder("a", "1", "x").json(format!("\"{}\"", "x".repeat(bytes))).build().unwrap()
        };
        let mut events: Vec<_> = (0..25).map(|_| event(900_000)).collect();
        events.push(event(20 << 20));
        events.push(event(1));
        let lengths = InsertSql::batch_lengths(&events);
        assert_eq!(lengths.iter().sum::<usize>(), events.len());
        assert_eq!(lengths, [9, 9, 7, 1, 1]);
        assert!(InsertSql::batch_lengths(&[]).is_empty());

        let value = "x".repeat(8_192);
        let headed =
            (0..64).fold(OutboxEvent::builder("a", "1", "x"), |event, n| event.header(format!("h{n}"), &*value));
        let headed = headed.build().unwrap();
        assert_eq!(InsertSql::batch_lengths(&vec![headed; 20]), [15, 5]);
        let empty = OutboxEvent::builder("a", "1", "x").build().unwrap();
        assert!(InsertSql::batch_lengths(&vec![empty; 40_000]).len() > 1, "events without a payload have a size too");
    }
}
