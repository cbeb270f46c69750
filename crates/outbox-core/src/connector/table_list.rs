use regex_lite::RegexBuilder;

use super::ConnectorConfig;
use crate::Error;

const KEY: &str = "table.include.list";

impl ConnectorConfig {
    /// Returns whether `table.include.list` names a table, as Debezium reads the list: regular expressions for the whole
    /// `schema.table`, without regard to case, separated by commas. A comma within an expression has a backslash before it.
    ///
    /// # Errors
    /// Fails if there is no list, or an expression of it cannot be used here.
    pub fn includes_table(&self, schema: &str, table: &str) -> Result<bool, Error> {
        let list = self.trimmed(KEY).filter(|list| !list.is_empty());
        let list =
            list.ok_or_else(|| Error::config(KEY, "", "without it the rows of every table are taken for events"))?;
        let name = format!("{schema}.{table}");
        let mut is_included = false;
        for pattern in patterns(list) {
            let regex = RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
                .case_insensitive(true)
                .build()
                .map_err(|e| Error::config(KEY, list, "this regular expression cannot be used here").caused_by(e))?;
            is_included |= regex.is_match(&name);
        }
        Ok(is_included)
    }
}

/// Debezium's `RegExSplitter`: a backslash escapes whatever follows it, and is removed before a comma.
fn patterns(list: &str) -> Vec<String> {
    let mut patterns = vec![String::new()];
    let mut chars = list.chars();
    while let Some(c) = chars.next() {
        match (c, patterns.last_mut()) {
            (',', _) => patterns.push(String::new()),
            ('\\', Some(pattern)) => match chars.next() {
                Some(',') => pattern.push(','),
                escaped => pattern.extend(['\\'].into_iter().chain(escaped)),
            },
            (_, Some(pattern)) => pattern.push(c),
            (_, None) => {}
        }
    }
    let trimmed = patterns.iter().map(|pattern| pattern.trim().to_owned());
    trimmed.filter(|pattern| !pattern.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn includes(list: &str, table: &str) -> bool {
        let config = ConnectorConfig { entries: vec![(KEY.to_owned(), list.to_owned())] };
        config.includes_table("public", table).unwrap()
    }

    #[test]
    fn a_list_names_tables_as_debezium_reads_it() {
        for list in [
            "public.outbox",
            " public.other , public.outbox ,",
            "public\\.outbox",
            "PUBLIC.OutBox",
            "^public\\.outbox$",
            "(public|private)\\.outbox",
            "public[.]out.*",
            "public\\.o[a-z]{1\\,9}",
        ] {
            assert!(includes(list, "outbox"), "{list}");
        }
        assert!(includes("public.outbox", "Outbox"));
        for list in ["outbox", "public.outbo", "ublic.outbox", "public.outbox_events", "\"public\".\"outbox\"", ","] {
            assert!(!includes(list, "outbox"), "{list}");
        }
    }
}
