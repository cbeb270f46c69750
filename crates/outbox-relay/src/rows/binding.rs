use outbox_core::{ColumnType, TableLayout};

use outbox_wal::{Relation, RelationColumn};

/// Where the columns of a told table go in a row of the layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    /// One for each told column: its place in the layout, if it has one.
    pub(super) targets: Vec<Option<Target>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) column: usize,
    pub(super) ty: ColumnType,
}

/// A column of the table is not as the layout says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    pub(super) column: Box<str>,
    pub(super) wanted: Box<str>,
    pub(super) found: Box<str>,
}

impl Binding {
    pub(super) fn new(relation: &Relation<'_>, layout: &TableLayout) -> Result<Self, Mismatch> {
        for column in layout.columns() {
            let mismatch = |found: String| Mismatch {
                column: column.name().as_str().into(),
                wanted: column.ty().sql().into(),
                found: found.into(),
            };
            match relation.columns.iter().find(|told| told.name == column.name().as_str()) {
                None => return Err(mismatch("missing, or not in the publication's column list".into())),
                Some(told) if !fits(column.ty(), told) => return Err(mismatch(sql(told))),
                Some(_) => {}
            }
        }
        let targets = relation.columns.iter().map(|told| {
            let column = layout.columns().iter().position(|column| column.name().as_str() == told.name)?;
            layout.columns().get(column).map(|found| Target { column, ty: found.ty() })
        });
        Ok(Self { targets: targets.collect() })
    }
}

/// How a table with columns of these names, types and modifiers is not as the layout says, in words.
pub(crate) fn mismatch<'a>(columns: impl Iterator<Item = (&'a str, u32, i32)>, layout: &TableLayout) -> Option<String> {
    let columns = columns.map(|(name, ty, modifier)| RelationColumn { is_key: false, name, ty, modifier }).collect();
    let relation = Relation { id: 0, schema: "", name: "", replica_identity: 0, columns };
    let Mismatch { column, wanted, found } = Binding::new(&relation, layout).err()?;
    Some(format!("column {column:?} is {found}, and the layout wants {wanted}"))
}

/// Whether the told column is of the type. Debezium carries a `timestamp` of up to three digits in milliseconds, so
/// its precision belongs to the type; a length does not, as each value is looked at.
fn fits(ty: ColumnType, told: &RelationColumn<'_>) -> bool {
    match ty {
        ColumnType::TimestampMillis => told.ty == TIMESTAMP && (0..=3).contains(&told.modifier),
        ColumnType::TimestampMicros => told.ty == TIMESTAMP && !(0..=3).contains(&told.modifier),
        _ => ty.oid() == told.ty,
    }
}

const TIMESTAMP: u32 = 1114;

/// The type of a column that the catalogue tells of, where a record can have it.
pub(crate) fn column_type(oid: u32, modifier: i32) -> Option<ColumnType> {
    // PostgreSQL's own limit where none is told; the modifier counts four bytes more.
    const LONGEST: u32 = 10_485_760;
    Some(match oid {
        2950 => ColumnType::Uuid,
        25 => ColumnType::Text,
        1043 => ColumnType::Varchar(modifier.checked_sub(4).and_then(|n| n.try_into().ok()).unwrap_or(LONGEST)),
        114 => ColumnType::Json,
        3802 => ColumnType::Jsonb,
        17 => ColumnType::Bytea,
        23 => ColumnType::Integer,
        16 => ColumnType::Boolean,
        TIMESTAMP if (0..=3).contains(&modifier) => ColumnType::TimestampMillis,
        TIMESTAMP => ColumnType::TimestampMicros,
        1184 => ColumnType::Timestamptz,
        _ => return None,
    })
}

fn sql(told: &RelationColumn<'_>) -> String {
    let name = match told.ty {
        TIMESTAMP if told.modifier >= 0 => return format!("timestamp({})", told.modifier),
        TIMESTAMP => "timestamp",
        16 => "boolean",
        17 => "bytea",
        20 => "bigint",
        21 => "smallint",
        23 => "integer",
        25 => "text",
        114 => "json",
        1042 => "char(n)",
        1043 => "varchar",
        1184 => "timestamptz",
        1700 => "numeric",
        2950 => "uuid",
        3802 => "jsonb",
        other => return format!("of the type with OID {other}"),
    };
    name.to_owned()
}
