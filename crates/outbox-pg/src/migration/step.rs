/// One step of a schema. It is never changed after it was applied somewhere: a later change is another step.
#[derive(Clone, Debug)]
pub struct Migration {
    pub(super) version: i32,
    pub(super) name: String,
    pub(super) sql: String,
    /// The SQL before names were filled in, which has the checksum; the SQL itself otherwise.
    template: Option<&'static str>,
}

impl Migration {
    /// Creates a step with its place in the order, from 1, a name for people, and its SQL: any number of statements
    /// that can run in a transaction.
    pub fn new(version: i32, name: impl Into<String>, sql: impl Into<String>) -> Self {
        Self { version, name: name.into(), sql: sql.into(), template: None }
    }

    pub(super) fn from_template(version: i32, name: &str, template: &'static str, values: &[(&str, &str)]) -> Self {
        Self::new(version, name, fill(template, values)).known_by(template)
    }

    /// Records the step by its template, so that other names do not make another step.
    pub(super) fn known_by(self, template: &'static str) -> Self {
        Self { template: Some(template), ..self }
    }

    pub(super) fn identity(&self) -> &str {
        self.template.unwrap_or(&self.sql)
    }
}

/// Fills in a template in one pass, so that a name that looks like a placeholder is not replaced.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let (mut sql, mut rest) = (String::new(), template);
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        sql.push_str(before);
        let found = values.iter().find_map(|(name, value)| Some((*value, from.strip_prefix(name)?)));
        let (value, tail) = found.unwrap_or_else(|| from.split_at_checked(1).unwrap_or((from, "")));
        sql.push_str(value);
        rest = tail;
    }
    sql + rest
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn a_template_is_filled_in_once() {
        assert_eq!(fill("a {x} '{}' {y}{", &[("{x}", "{y}"), ("{y}", "ü")]), "a {y} '{}' ü{");
    }
}
