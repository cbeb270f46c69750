use outbox_core::{ColumnType, TableLayout};
use tokio_postgres::types::Type;

use crate::param::{wire_array, wire_type};

/// The INSERTs of a table, with the columns that an event fills.
#[derive(Clone, Debug)]
pub(crate) struct Insert {
    pub(crate) one: String,
    pub(crate) many: String,
    pub(crate) one_if_new: String,
    pub(crate) many_if_new: String,
    pub(crate) columns: Vec<Filled>,
    pub(crate) types: Vec<Type>,
}

/// A column that an event fills: its position in a row of the layout, and its type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filled {
    pub(crate) index: usize,
    pub(crate) ty: ColumnType,
}

impl Insert {
    pub(crate) fn into_table(layout: &TableLayout) -> Self {
        let table = layout.qualified_name();
        let filled = || layout.columns().iter().enumerate().filter(|(_, column)| column.is_filled());
        let columns: Vec<_> = filled().map(|(index, column)| Filled { index, ty: column.ty() }).collect();
        let names = filled().map(|(_, column)| column.name().to_string()).collect::<Vec<_>>().join(", ");
        let numbered = |of: &dyn Fn(usize) -> String| (1..=columns.len()).map(of).collect::<Vec<_>>().join(", ");
        let values = numbered(&|n| format!("${n}"));
        let (aliases, arrays) = (numbered(&|n| format!("c{n}")), values.clone());
        let one = format!("INSERT INTO {table} ({names}) VALUES ({values})");
        // Ordered by ordinality: the WAL, and with it every topic, has the events in the caller's order.
        let many = format!(
            "INSERT INTO {table} ({names}) SELECT {aliases} FROM unnest({arrays}) WITH ORDINALITY AS event ({aliases}, n) \
             ORDER BY n"
        );
        Self {
            // Without a conflict target: to name one takes the right to SELECT.
            one_if_new: format!("{one} ON CONFLICT DO NOTHING"),
            many_if_new: format!("{many} ON CONFLICT DO NOTHING"),
            one,
            many,
            types: columns.iter().map(|column| wire_type(column.ty)).collect(),
            columns,
        }
    }

    pub(crate) fn array_types(&self) -> impl Iterator<Item = Type> {
        self.columns.iter().map(|column| wire_array(column.ty))
    }
}

#[cfg(test)]
mod tests {
    use outbox_core::Identifier;

    use super::*;

    #[test]
    fn names_are_quoted_and_foreign_columns_left_out() {
        let layout = TableLayout::classic(Identifier::new("a\"b").unwrap(), Identifier::new("Outbox").unwrap());
        let insert = Insert::into_table(&layout);
        assert_eq!(
            insert.one,
            "INSERT INTO \"a\"\"b\".\"Outbox\" (\"id\", \"aggregatetype\", \"aggregateid\", \"type\", \"payload\") \
             VALUES ($1, $2, $3, $4, $5)"
        );
        assert!(insert.many.ends_with("SELECT c1, c2, c3, c4, c5 FROM unnest($1, $2, $3, $4, $5) WITH ORDINALITY AS event (c1, c2, c3, c4, c5, n) ORDER BY n"), "{}", insert.many);
    }
}
