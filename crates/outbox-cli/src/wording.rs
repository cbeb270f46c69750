//! The library's names, replaced by this program's commands.

/// The names of the library in its errors and remedies, and the commands that do the same. A remedy that names another
/// item of the library needs a line.
const COMMANDS: &[(&str, &str)] = &[
    ("apply Migrations::outbox", "run outbox migrate apply"),
    ("apply Migrations::maintenance", "run outbox migrate apply --maintenance"),
    ("SlotOptions::recreate", "outbox slot create --recreate"),
    ("SlotOptions::patience", "--timeout"),
    ("Republish::missed", "outbox replay run NAME --missed"),
    ("call create_slot", "run outbox slot create"),
    (
        "the script of connector_role_sql, or of connector_role_sql_on where the server is managed",
        "the SQL of outbox roles --connector, where the server is managed with --platform",
    ),
    ("the script of connector_role_sql", "the SQL of outbox roles --connector"),
    ("the script of application_role_sql", "the SQL of outbox roles --application"),
    ("the script of maintainer_role_sql", "the SQL of outbox roles --maintainer"),
    ("say RowLife::Keep", "set --row-life keep"),
    ("choose the other RowLife", "choose the other --row-life"),
];

/// Puts commands in place of the names of the library.
pub(crate) fn in_commands(text: impl Into<String>) -> String {
    COMMANDS.iter().fold(text.into(), |text, (name, command)| match text.contains(name) {
        true => text.replace(name, command),
        false => text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_has_to_know_the_library() {
        let text = "call create_slot: what commits before is published by Republish::missed only";
        let expected =
            "run outbox slot create: what commits before is published by outbox replay run NAME --missed only";
        assert_eq!(in_commands(text), expected);
        assert_eq!(in_commands("run the script of maintainer_role_sql"), "run the SQL of outbox roles --maintainer");
    }
}
