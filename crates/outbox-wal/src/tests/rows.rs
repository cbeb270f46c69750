use super::*;

/// A message of a table's changes, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WalEvent {
    Begin { commit: Lsn },
    Row { index: u32, texts: Vec<Option<String>> },
    Commit { commit: Lsn, end: Lsn },
}

/// Counts the rows and updates of each transaction, in their order.
#[derive(Debug, Default)]
pub(super) struct RowReader {
    next: Option<u32>,
    updates: u64,
}

impl RowReader {
    pub(super) fn read(&mut self, message: &[u8]) -> Result<Option<WalEvent>, Malformed> {
        Ok(match Message::decode(message)? {
            Message::Begin { commit, .. } => {
                assert_eq!(self.next.replace(0), None);
                Some(WalEvent::Begin { commit })
            }
            Message::Commit { commit, end, .. } => {
                self.next.take().unwrap();
                Some(WalEvent::Commit { commit, end })
            }
            Message::Insert { new, .. } => {
                let index = self.next.unwrap();
                self.next = Some(index + 1);
                let text = |data| match data {
                    TupleData::Text(text) => Some(String::from_utf8(text.to_vec()).unwrap()),
                    _ => None,
                };
                Some(WalEvent::Row { index, texts: new.data().map(text).collect() })
            }
            Message::Update { .. } => {
                self.updates += 1;
                None
            }
            _ => None,
        })
    }

    pub(super) fn is_in_transaction(&self) -> bool {
        self.next.is_some()
    }

    pub(super) fn updates(&self) -> u64 {
        self.updates
    }
}
