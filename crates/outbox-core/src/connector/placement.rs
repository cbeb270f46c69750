use super::ConnectorConfig;
use crate::Error;

/// The place that `table.fields.additional.placement` gives a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    Header,
    Envelope,
    Partition,
}

/// One item of `table.fields.additional.placement`: `column:placement[:alias]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub(crate) column: String,
    pub(crate) placement: Placement,
    pub(crate) alias: String,
}

impl Placed {
    pub(super) fn list(config: &ConnectorConfig, key: &str) -> Result<Vec<Self>, Error> {
        let Some(text) = config.get(key) else { return Ok(Vec::new()) };
        let text = text.trim();
        // As Java's split: empty strings at the end do not count.
        text.trim_end_matches(',').split(',').map(|item| Self::parse(key, item)).collect()
    }

    fn parse(key: &str, item: &str) -> Result<Self, Error> {
        let parts: Vec<_> = item.trim().trim_end_matches(':').split(':').map(str::trim).collect();
        let (column, placement, alias) = match parts.as_slice() {
            [column, placement] => (column, placement, column),
            [column, placement, alias] => (column, placement, alias),
            _ => return Err(Error::config(key, item, "an item is column:placement or column:placement:alias")),
        };
        let placement = match placement.to_ascii_lowercase().as_str() {
            "header" => Placement::Header,
            "envelope" => Placement::Envelope,
            "partition" => Placement::Partition,
            _ => {
                let reason =
                    "a placement is header, envelope or partition; Debezium takes others and then fails at every row";
                return Err(Error::config(key, item, reason));
            }
        };

        Ok(Self { column: (*column).into(), placement, alias: (*alias).into() })
    }
}
