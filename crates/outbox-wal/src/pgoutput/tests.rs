use proptest::prelude::*;

use super::{Message, Old, Relation, RelationColumn, Tuple, TupleData};
use crate::Lsn;

/// The parts of a message, owned.
#[derive(Clone, Debug)]
struct Parts {
    kind: u8,
    numbers: (u64, u64, i64, u32, u32),
    texts: (String, String),
    bytes: Vec<u8>,
    tuples: [Vec<Option<Vec<u8>>>; 2],
    columns: Vec<(bool, String, u32, i32)>,
    relations: Vec<u32>,
    flag: bool,
}

fn parts() -> impl Strategy<Value = Parts> {
    let name = "[^\\x00]{0,20}";
    let bytes = proptest::collection::vec(any::<u8>(), 0..40);
    let row = proptest::collection::vec(proptest::option::of(bytes.clone()), 0..6);
    let column = (any::<bool>(), name, any::<u32>(), any::<i32>());

    (
        (0_u8..11, any::<(u64, u64, i64, u32, u32)>(), ("[^\\x00]{1,20}", name), bytes, any::<bool>()),
        ([row.clone(), row], proptest::collection::vec(column, 0..6), proptest::collection::vec(any::<u32>(), 0..6)),
    )
        .prop_map(|((kind, numbers, texts, bytes, flag), (tuples, columns, relations))| Parts {
            kind,
            numbers,
            texts,
            bytes,
            tuples,
            columns,
            relations,
            flag,
        })
}

impl Parts {
    fn rows(&self) -> [Vec<u8>; 2] {
        self.tuples.each_ref().map(|row| {
            let datum = |(place, value): (usize, &'_ Option<Vec<u8>>)| match value {
                None if place % 2 == 0 => TupleData::Null,
                None => TupleData::Unchanged,
                Some(bytes) if place == 3 => TupleData::Binary(bytes.clone().leak()),
                Some(bytes) => TupleData::Text(bytes.clone().leak()),
            };
            Tuple::encode(&row.iter().enumerate().map(datum).collect::<Vec<_>>())
        })
    }

    fn message<'a>(&'a self, rows: &'a [Vec<u8>; 2]) -> Message<'a> {
        let (a, b, micros, id, relation) = self.numbers;
        let (commit, end) = (Lsn::new(a), Lsn::new(b));
        let [first, second] = rows.each_ref().map(|row| Tuple::decode(row).unwrap());
        let old = if self.flag { Old::Key(first) } else { Old::Row(first) };
        let (name, schema) = (self.texts.1.as_str(), self.texts.0.as_str());

        match self.kind {
            0 => Message::Begin { commit, micros, xid: id },
            1 => Message::Commit { commit, end, micros },
            2 => Message::Origin { commit, name },
            3 => {
                let column = |(is_key, name, ty, modifier): &'a (bool, String, u32, i32)| RelationColumn {
                    is_key: *is_key,
                    name,
                    ty: *ty,
                    modifier: *modifier,
                };
                let columns = self.columns.iter().map(column).collect();
                Message::Relation(Relation { id, schema, name, replica_identity: b'f', columns })
            }
            4 => Message::Type { id, schema, name },
            5 => Message::Insert { relation, new: second },
            6 => Message::Update { relation, old: None, new: second },
            7 => Message::Update { relation, old: Some(old), new: second },
            8 => Message::Delete { relation, old },
            9 => Message::Truncate { options: u8::from(self.flag), relations: self.relations.clone() },
            _ => Message::Logical { transactional: self.flag, lsn: commit, prefix: name, content: &self.bytes },
        }
    }
}

proptest! {
    #[test]
    fn messages_come_back(parts in parts()) {
        let rows = parts.rows();
        let message = parts.message(&rows);
        let bytes = message.encode();
        prop_assert_eq!(Message::decode(&bytes), Ok(message));
    }

    #[test]
    fn cut_or_lengthened_messages_are_refused(parts in parts(), cut in any::<prop::sample::Index>()) {
        let rows = parts.rows();
        let mut bytes = parts.message(&rows).encode();
        prop_assert!(Message::decode(&bytes[..cut.index(bytes.len())]).is_err());
        bytes.push(0);
        prop_assert!(Message::decode(&bytes).is_err());
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error(
        kind in prop::sample::select(b"BCORYIUDTMSE".to_vec()), bytes in proptest::collection::vec(any::<u8>(), 0..200)
    ) {
        let bytes: Vec<u8> = [kind].into_iter().chain(bytes).collect();
        let _ = Message::decode(&bytes);
    }

    #[test]
    fn a_changed_byte_makes_no_panic(parts in parts(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let rows = parts.rows();
        let mut bytes = parts.message(&rows).encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Message::decode(&bytes);
    }
}
