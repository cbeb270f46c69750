use super::{ConnectorConfig, Error, Found, RouterConfig, RowSource, Transforms};
use crate::ColumnType;
use crate::connector::NullMembers;
use crate::connector::Placement;

pub(in crate::connector) const CLASS: &str =
    "io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent";

/// How `DecodeLogicalDecodingMessageContent` makes the JSON content of messages into rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DecodedMessages {
    /// `fields.null.include`
    pub(crate) nulls: NullMembers,
}

/// Members of messages, with the types that suit the options.
pub(crate) type Members = Vec<(Box<str>, ColumnType)>;

impl DecodedMessages {
    pub(super) fn of(config: &ConnectorConfig, name: &str) -> Result<Self, Error> {
        let includes_null = config.boolean(&format!("transforms.{name}.fields.null.include"), false)?;
        let binary = config.trimmed("binary.handling.mode").unwrap_or("bytes");
        if !binary.eq_ignore_ascii_case("bytes") {
            let reason = "DecodeLogicalDecodingMessageContent reads bytes, and stops the task at any other form";
            return Err(Error::config("binary.handling.mode", binary, reason));
        }
        Ok(Self { nulls: if includes_null { NullMembers::OptionalBytes } else { NullMembers::Ignore } })
    }
}

impl ConnectorConfig {
    /// Returns the members of messages that the options of the EventRouter name, and what becomes of null; none if no
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

    /// Returns whether the configuration decodes logical decoding messages, so that an EventRouter can see them.
    #[must_use]
    pub fn decodes_messages(&self) -> bool {
        let transforms = self.trimmed("transforms").unwrap_or_default().split(',').map(str::trim);
        let mut classes = transforms.filter_map(|name| self.trimmed(&format!("transforms.{name}.type")));
        classes.any(|class| class == CLASS)
    }

    /// Returns the name of the EventRouter that sees logical decoding messages, if one does.
    #[must_use]
    pub fn message_router(&self) -> Option<&str> {
        Transforms::of(self, RowSource::Messages, &mut Found::default()).router
    }
}
