use super::message::{Message, Old, Relation};
use super::tuple::{Tuple, TupleData};

impl Message<'_> {
    /// Encodes the message as a walsender does. Tests of readers need it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Out::default();
        match self {
            Message::Begin { commit, micros, xid } => {
                out.u8(b'B').u64(commit.as_u64()).u64(micros.cast_unsigned()).u32(*xid);
            }
            Message::Commit { commit, end, micros } => {
                out.u8(b'C').u8(0).u64(commit.as_u64()).u64(end.as_u64()).u64(micros.cast_unsigned());
            }
            Message::Origin { commit, name } => {
                out.u8(b'O').u64(commit.as_u64()).text(name);
            }
            Message::Relation(relation) => out.relation(relation),
            Message::Type { id, schema, name } => {
                out.u8(b'Y').u32(*id).text(schema).text(name);
            }
            Message::Insert { relation, new } => out.u8(b'I').u32(*relation).u8(b'N').tuple(new),
            Message::Update { relation, old, new } => {
                out.u8(b'U').u32(*relation);
                if let Some(old) = old {
                    out.old(old);
                }
                out.u8(b'N').tuple(new);
            }
            Message::Delete { relation, old } => out.u8(b'D').u32(*relation).old(old),
            Message::Truncate { options, relations } => {
                out.u8(b'T').u32(u32::try_from(relations.len()).unwrap_or(u32::MAX)).u8(*options);
                for relation in relations {
                    out.u32(*relation);
                }
            }
            Message::Logical { transactional, lsn, prefix, content } => {
                out.u8(b'M').u8(u8::from(*transactional)).u64(lsn.as_u64()).text(prefix).sized(content);
            }
        }
        out.0
    }
}

impl Tuple<'_> {
    /// Encodes a row's columns as a walsender does.
    #[must_use]
    pub fn encode(columns: &[TupleData<'_>]) -> Vec<u8> {
        let mut out = Out::default();
        out.u16(u16::try_from(columns.len()).unwrap_or(u16::MAX));
        for column in columns {
            match column {
                TupleData::Null => out.u8(b'n'),
                TupleData::Unchanged => out.u8(b'u'),
                TupleData::Text(text) => out.u8(b't').sized(text),
                TupleData::Binary(bytes) => out.u8(b'b').sized(bytes),
            };
        }
        out.0
    }
}

/// Lengths are those of values in memory: a saturated one is never reached.
#[derive(Default)]
struct Out(Vec<u8>);

impl Out {
    fn u8(&mut self, byte: u8) -> &mut Self {
        self.0.push(byte);
        self
    }

    fn u16(&mut self, number: u16) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn u32(&mut self, number: u32) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn u64(&mut self, number: u64) -> &mut Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        self.0.extend(text.as_bytes());
        self.u8(0)
    }

    fn sized(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend(bytes);
        self
    }

    fn tuple(&mut self, columns: &Tuple<'_>) {
        self.0.extend(Tuple::encode(&columns.data().collect::<Vec<_>>()));
    }

    fn old(&mut self, old: &Old<'_>) {
        match old {
            Old::Key(columns) => self.u8(b'K').tuple(columns),
            Old::Row(columns) => self.u8(b'O').tuple(columns),
        }
    }

    fn relation(&mut self, relation: &Relation<'_>) {
        self.u8(b'R').u32(relation.id).text(relation.schema).text(relation.name).u8(relation.replica_identity);
        self.u16(u16::try_from(relation.columns.len()).unwrap_or(u16::MAX));
        for column in &relation.columns {
            self.u8(u8::from(column.is_key)).text(column.name).u32(column.ty).u32(column.modifier.cast_unsigned());
        }
    }
}
