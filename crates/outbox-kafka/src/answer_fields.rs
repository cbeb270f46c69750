//! The fields of each answer, in Kafka's message definitions, for the versions that are requested.

use crate::answer_walk::{Field, Kind};
use Kind::{Bytes, Fixed, Scalars, Struct, Structs, Tagged, Text, Texts};

const I8: Kind = Fixed(1);
const I16: Kind = Fixed(2);
const I32: Kind = Fixed(4);
const I64: Kind = Fixed(8);
const UUID: Kind = Fixed(16);

pub(crate) const fn all(kind: Kind) -> Field {
    since(kind, 0)
}

const fn since(kind: Kind, since: i16) -> Field {
    Field { kind, since, until: i16::MAX }
}

const fn until(kind: Kind, until: i16) -> Field {
    Field { kind, since: 0, until }
}

pub(crate) const API_VERSIONS: &[Field] = &[
    all(I16),
    all(Structs(VERSIONS)),
    since(I32, 1),
    all(Tagged(0, &Structs(FEATURE))),
    all(Tagged(1, &I64)),
    all(Tagged(2, &Structs(FEATURE))),
    all(Tagged(3, &I8)),
];
const VERSIONS: &[Field] = &[all(I16), all(I16), all(I16)];
const FEATURE: &[Field] = &[all(Text), all(I16), all(I16)];

pub(crate) const METADATA: &[Field] = &[
    since(I32, 3),
    all(Structs(&[all(I32), all(Text), all(I32), since(Text, 1)])),
    since(Text, 2),
    since(I32, 1),
    all(Structs(METADATA_TOPIC)),
    Field { kind: I32, since: 8, until: 10 },
    since(I16, 13),
];
const METADATA_TOPIC: &[Field] =
    &[all(I16), all(Text), since(UUID, 10), since(I8, 1), all(Structs(METADATA_PARTITION)), since(I32, 8)];
const METADATA_PARTITION: &[Field] =
    &[all(I16), all(I32), all(I32), since(I32, 7), all(Scalars(4)), all(Scalars(4)), since(Scalars(4), 5)];

pub(crate) const CREATE_TOPICS: &[Field] = &[since(I32, 2), all(Structs(CREATED_TOPIC))];
const CREATED_TOPIC: &[Field] = &[
    all(Text),
    since(UUID, 7),
    all(I16),
    since(Text, 1),
    since(I32, 5),
    since(I16, 5),
    since(Structs(&[all(Text), all(Text), all(I8), all(I8), all(I8)]), 5),
    since(Tagged(0, &I16), 5),
];

pub(crate) const DESCRIBE_CONFIGS: &[Field] =
    &[all(I32), all(Structs(&[all(I16), all(Text), all(I8), all(Text), all(Structs(CONFIG))]))];
const CONFIG: &[Field] = &[
    all(Text),
    all(Text),
    all(I8),
    until(I8, 0),
    since(I8, 1),
    all(I8),
    since(Structs(&[all(Text), all(Text), all(I8)]), 1),
    since(I8, 3),
    since(Text, 3),
];

pub(crate) const INIT_PRODUCER_ID: &[Field] = &[all(I32), all(I16), all(I64), all(I16)];

pub(crate) const PRODUCE: &[Field] = &[
    all(Structs(&[until(Text, 12), since(UUID, 13), all(Structs(PRODUCED))])),
    since(I32, 1),
    since(Tagged(0, &Structs(NODE)), 10),
];
const PRODUCED: &[Field] = &[
    all(I32),
    all(I16),
    all(I64),
    since(I64, 2),
    since(I64, 5),
    since(Structs(&[all(I32), all(Text)]), 8),
    since(Text, 8),
    since(Tagged(0, &Struct(LEADER)), 10),
];
const LEADER: &[Field] = &[all(I32), all(I32)];
const NODE: &[Field] = &[all(I32), all(Text), all(I32), all(Text)];

pub(crate) const FETCH: &[Field] = &[
    since(I32, 1),
    since(I16, 7),
    since(I32, 7),
    all(Structs(&[until(Text, 12), since(UUID, 13), all(Structs(FETCHED))])),
    since(Tagged(0, &Structs(NODE)), 16),
];
const FETCHED: &[Field] = &[
    all(I32),
    all(I16),
    all(I64),
    since(I64, 4),
    since(I64, 5),
    since(Structs(&[all(I64), all(I64)]), 4),
    since(I32, 11),
    all(Bytes),
    all(Tagged(0, &Struct(&[all(I32), all(I64)]))),
    all(Tagged(1, &Struct(LEADER))),
    all(Tagged(2, &Struct(&[all(I64), all(I32)]))),
];

pub(crate) const LIST_OFFSETS: &[Field] = &[since(I32, 2), all(Structs(&[all(Text), all(Structs(LISTED))]))];
const LISTED: &[Field] = &[all(I32), all(I16), since(I64, 1), since(I64, 1), since(I32, 4)];

pub(crate) const FIND_COORDINATOR: &[Field] = &[since(I32, 1), all(I16), since(Text, 1), all(I32), all(Text), all(I32)];

pub(crate) const OFFSET_COMMIT: &[Field] =
    &[since(I32, 3), all(Structs(&[all(Text), all(Structs(&[all(I32), all(I16)]))]))];

pub(crate) const SASL_HANDSHAKE: &[Field] = &[all(I16), all(Texts)];

pub(crate) const SASL_AUTHENTICATE: &[Field] = &[all(I16), all(Text), all(Bytes), since(I64, 1)];
