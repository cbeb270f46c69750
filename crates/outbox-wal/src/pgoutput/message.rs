use super::tuple::{Fields, Malformed, Tuple};
use crate::Lsn;

/// A message of pgoutput; it borrows from the bytes that it was decoded from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'a> {
    /// A transaction begins.
    Begin {
        /// The commit's LSN.
        commit: Lsn,
        /// The time of the commit, in microseconds since 2000-01-01 UTC.
        micros: i64,
        /// The transaction's id.
        xid: u32,
    },
    /// A transaction ends.
    Commit {
        /// The commit's LSN.
        commit: Lsn,
        /// The end of the commit's record: only what is confirmed up to here leaves the slot.
        end: Lsn,
        /// The time of the commit, in microseconds since 2000-01-01 UTC.
        micros: i64,
    },
    /// The replication origin of a transaction.
    Origin {
        /// The commit's LSN.
        commit: Lsn,
        /// Its name.
        name: &'a str,
    },
    /// A table, before its first change of a session.
    Relation(Relation<'a>),
    /// A type that is not built in.
    Type {
        /// The type's OID.
        id: u32,
        /// The schema's name.
        schema: &'a str,
        /// Its name.
        name: &'a str,
    },
    /// A row was inserted.
    Insert {
        /// The table's OID.
        relation: u32,
        /// The row after the change.
        new: Tuple<'a>,
    },
    /// A row was updated.
    Update {
        /// The table's OID.
        relation: u32,
        /// The row before the change.
        old: Option<Old<'a>>,
        /// The row after the change.
        new: Tuple<'a>,
    },
    /// A row was deleted.
    Delete {
        /// The table's OID.
        relation: u32,
        /// The row before the change.
        old: Old<'a>,
    },
    /// Tables were truncated.
    Truncate {
        /// 1 for CASCADE, 2 for RESTART IDENTITY.
        options: u8,
        /// The tables' OIDs.
        relations: Vec<u32>,
    },
    /// A message of `pg_logical_emit_message`.
    Logical {
        /// Whether the message belongs to a transaction.
        transactional: bool,
        /// The message's LSN.
        lsn: Lsn,
        /// Its prefix.
        prefix: &'a str,
        /// Its content.
        content: &'a [u8],
    },
}

/// The row before a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Old<'a> {
    /// The columns of the replica identity.
    Key(Tuple<'a>),
    /// All columns.
    Row(Tuple<'a>),
}

/// A table, reported before its first change in a session and again whenever it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relation<'a> {
    /// The table's OID.
    pub id: u32,
    /// The schema's name.
    pub schema: &'a str,
    /// The table's name.
    pub name: &'a str,
    /// `relreplident` of `pg_class`.
    pub replica_identity: u8,
    /// The table's columns.
    pub columns: Vec<RelationColumn<'a>>,
}

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelationColumn<'a> {
    /// Whether the column belongs to the replica identity.
    pub is_key: bool,
    /// The column's name.
    pub name: &'a str,
    /// The type's OID.
    pub ty: u32,
    /// `atttypmod`: length or precision, -1 for none.
    pub modifier: i32,
}

impl<'a> Message<'a> {
    /// Decodes a message.
    ///
    /// # Errors
    /// The bytes are truncated, too long, or not defined by version 1 of the protocol.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let fields = &mut Fields::new(bytes);
        let message = match fields.u8()? {
            b'B' => Self::Begin { commit: fields.lsn()?, micros: fields.i64()?, xid: fields.u32()? },
            b'C' => {
                // Flags, of which there are none.
                fields.u8()?;
                Self::Commit { commit: fields.lsn()?, end: fields.lsn()?, micros: fields.i64()? }
            }
            b'O' => Self::Origin { commit: fields.lsn()?, name: fields.text()? },
            b'R' => Self::Relation(Relation::take(fields)?),
            b'Y' => Self::Type { id: fields.u32()?, schema: fields.text()?, name: fields.text()? },
            b'I' => {
                let relation = fields.u32()?;
                Self::Insert { relation, new: new(fields)? }
            }
            b'U' => {
                let relation = fields.u32()?;
                let old = match fields.rest().first() {
                    Some(b'N') => None,
                    _ => Some(Old::take(fields)?),
                };
                Self::Update { relation, old, new: new(fields)? }
            }
            b'D' => Self::Delete { relation: fields.u32()?, old: Old::take(fields)? },
            b'T' => {
                let count = fields.u32()?;
                let options = fields.u8()?;
                // The vector grows with the numbers, because the stated count may be wrong.
                let mut relations = Vec::new();
                for _ in 0..count {
                    relations.push(fields.u32()?);
                }
                Self::Truncate { options, relations }
            }
            b'M' => {
                let transactional = fields.u8()? & 1 == 1;
                let (lsn, prefix, length) = (fields.lsn()?, fields.text()?, fields.u32()?);
                Self::Logical { transactional, lsn, prefix, content: fields.bytes(length)? }
            }
            _ => return Err(Malformed),
        };
        if fields.is_empty() { Ok(message) } else { Err(Malformed) }
    }
}

impl<'a> Relation<'a> {
    fn take(fields: &mut Fields<'a>) -> Result<Self, Malformed> {
        let (id, schema, name) = (fields.u32()?, fields.text()?, fields.text()?);
        let replica_identity = fields.u8()?;
        let count = fields.u16()?;
        let mut columns = Vec::new();
        for _ in 0..count {
            columns.push(RelationColumn {
                is_key: fields.u8()? & 1 == 1,
                name: fields.text()?,
                ty: fields.u32()?,
                modifier: fields.i32()?,
            });
        }

        // The protocol's empty name of a schema.
        let schema = if schema.is_empty() { "pg_catalog" } else { schema };
        Ok(Self { id, schema, name, replica_identity, columns })
    }
}

impl<'a> Old<'a> {
    fn take(fields: &mut Fields<'a>) -> Result<Self, Malformed> {
        match fields.u8()? {
            b'K' => Tuple::take(fields).map(Self::Key),
            b'O' => Tuple::take(fields).map(Self::Row),
            _ => Err(Malformed),
        }
    }
}

fn new<'a>(fields: &mut Fields<'a>) -> Result<Tuple<'a>, Malformed> {
    if fields.u8()? == b'N' { Tuple::take(fields) } else { Err(Malformed) }
}
