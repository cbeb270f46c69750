use std::collections::BTreeMap;
use std::fmt;

use crate::ColumnValue;

/// The values of a service's own columns, by name. `Debug` shows the names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct OwnColumns(pub(super) BTreeMap<String, ColumnValue>);

impl OwnColumns {
    pub(crate) fn get(&self, name: &str) -> Option<&ColumnValue> {
        self.0.get(name)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &ColumnValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl fmt::Debug for OwnColumns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
