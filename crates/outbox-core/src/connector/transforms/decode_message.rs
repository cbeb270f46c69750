use crate::Error;
use crate::connector::{ConnectorConfig, NullMembers};

pub(in crate::connector) const CLASS: &str =
    "io.debezium.connector.postgresql.transforms.DecodeLogicalDecodingMessageContent";

/// The way in which `DecodeLogicalDecodingMessageContent` makes the JSON content of messages into rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DecodedMessages {
    /// `fields.null.include`
    pub(crate) nulls: NullMembers,
}

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
    /// Returns whether the configuration decodes logical decoding messages, so that an EventRouter can see them.
    #[must_use]
    pub fn decodes_messages(&self) -> bool {
        let transforms = self.trimmed("transforms").unwrap_or_default().split(',').map(str::trim);
        let mut classes = transforms.filter_map(|name| self.trimmed(&format!("transforms.{name}.type")));
        classes.any(|class| class == CLASS)
    }
}
