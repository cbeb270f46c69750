//! Messages of pgoutput: a decoded message is encoded as the same bytes.

use outbox_wal::{Message, Old, Tuple};

pub(crate) fn run(bytes: &[u8]) {
    let Ok(message) = Message::decode(bytes) else { return };
    match &message {
        Message::Insert { new, .. } => read(new),
        Message::Update { old, new, .. } => {
            old.iter().for_each(read_old);
            read(new);
        }
        Message::Delete { old, .. } => read_old(old),
        _ => {}
    }
    let encoded = message.encode();
    assert_eq!(Message::decode(&encoded).as_ref(), Ok(&message));
}

fn read_old(old: &Old<'_>) {
    match old {
        Old::Key(tuple) | Old::Row(tuple) => read(tuple),
    }
}

/// Checks that a row has as many columns as it says.
fn read(tuple: &Tuple<'_>) {
    let columns: Vec<_> = tuple.data().collect();
    assert_eq!(columns.len(), usize::from(tuple.columns));
    let encoded = Tuple::encode(&columns);
    assert!(Tuple::decode(&encoded).is_ok_and(|decoded| decoded.data().eq(columns)));
}
