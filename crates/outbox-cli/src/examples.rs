use clap::Command;

const TITLE: &str = "Examples:";

/// Shows the examples that a command has for its subcommands in their help as well.
pub(crate) fn on_each_command(command: Command) -> Command {
    let name = command.get_name().to_owned();
    below(command, &name)
}

fn below(command: Command, path: &str) -> Command {
    let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let examples = help.split_once(TITLE).map(|(_, rest)| rest.to_owned()).unwrap_or_default();
    command.mut_subcommands(|inner| {
        let path = format!("{path} {}", inner.get_name());
        let names_inner = |line: &&str| format!("{} ", line.trim()).starts_with(&format!("{path} "));
        let of_inner: String = examples.lines().filter(names_inner).map(|line| format!("\n{line}")).collect();
        let inner = match inner.get_after_help() {
            None if !of_inner.is_empty() => inner.after_help(format!("{TITLE}{of_inner}")),
            _ => inner,
        };
        below(inner, &path)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subcommands_have_the_examples_that_name_them() {
        let slot = Command::new("slot").subcommands([Command::new("drop"), Command::new("drop-all")]);
        let help = "Codes\n\nExamples:\n  it slot drop\n  it slot drop a\n  it slot drop-all";
        let command = on_each_command(Command::new("it").after_help(help).subcommand(slot));
        let after = |command: &Command| command.get_after_help().unwrap().to_string();
        let slot = command.find_subcommand("slot").unwrap();
        assert_eq!(after(slot), "Examples:\n  it slot drop\n  it slot drop a\n  it slot drop-all");
        let drop = slot.find_subcommand("drop").unwrap();
        assert_eq!(after(drop), "Examples:\n  it slot drop\n  it slot drop a");
    }
}
