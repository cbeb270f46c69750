use super::{RowSource, Transforms};
use crate::connector::{ConnectorConfig, NullMembers, Placement, RouterConfig};
use crate::pipeline::Found;
use crate::{ColumnType, Error};

/// Members of messages, with the types that suit the options.
pub(crate) type Members = Vec<(Box<str>, ColumnType)>;

impl ConnectorConfig {
    /// Returns the members of messages that the options of the EventRouter name, and the handling of null; `None` if no
    /// EventRouter sees messages.
    pub(crate) fn message_members(&self) -> Result<Option<(Members, NullMembers)>, Error> {
        let mut found = Found::default();
        let Transforms { router, decoded, .. } = Transforms::of(self, RowSource::Messages, &mut found);
        found.into_result()?;

        let (Some(router), Some(decoded)) = (router, decoded) else { return Ok(None) };
        let mut found = Found::default();
        let router = RouterConfig::of(self, router, &mut found);
        found.into_result()?;

        let members = router.map(|router| {
            let mut members = Members::new();
            for name in router.columns() {
                let is_partition =
                    router.placed.iter().any(|p| p.column == name && p.placement == Placement::Partition);
                let is_number = is_partition || router.schema_version.as_deref() == Some(name);
                let ty = if is_number { ColumnType::Integer } else { ColumnType::Text };
                if !members.iter().any(|(known, _)| **known == *name) {
                    members.push((name.into(), ty));
                }
            }
            members
        });
        Ok(members.map(|members| (members, decoded.nulls)))
    }

    /// Returns the name of the EventRouter that sees logical decoding messages, if one does.
    #[must_use]
    pub fn message_router(&self) -> Option<&str> {
        Transforms::of(self, RowSource::Messages, &mut Found::default()).router
    }
}
