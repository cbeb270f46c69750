//! The arguments for `cargo test`.

use std::ffi::{OsStr, OsString};

/// Cargo's options that select targets; those of the second list have a value.
const TARGETS: [&str; 7] = ["--lib", "--bins", "--tests", "--examples", "--benches", "--all-targets", "--doc"];
const NAMED_TARGETS: [&str; 4] = ["--test", "--bin", "--example", "--bench"];
/// The other options that have a value.
const WITH_VALUE: [&str; 16] = [
    "--package",
    "-p",
    "--exclude",
    "--features",
    "-F",
    "--jobs",
    "-j",
    "--profile",
    "--target",
    "--target-dir",
    "--manifest-path",
    "--lockfile-path",
    "--config",
    "--color",
    "--message-format",
    "-Z",
];

/// The arguments for cargo, and those for the test programs, which stand after `--`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Arguments {
    cargo: Vec<OsString>,
    programs: Vec<OsString>,
}

impl Arguments {
    pub(super) fn new(arguments: &[OsString]) -> Self {
        let end = arguments.iter().position(|argument| argument == "--").unwrap_or(arguments.len());
        let (cargo, programs) = arguments.split_at(end);
        Self { cargo: cargo.to_vec(), programs: programs.to_vec() }
    }

    /// Returns what cargo passes to a test program: the name of tests, and the arguments after `--`.
    pub(super) fn of_program(&self) -> Vec<&OsStr> {
        let mut cargo = self.cargo.iter();
        let mut passed = Vec::new();
        while let Some(argument) = cargo.next() {
            if is_one_of(&NAMED_TARGETS, argument) || is_one_of(&WITH_VALUE, argument) {
                cargo.next();
            } else if !argument.as_encoded_bytes().starts_with(b"-") {
                passed.push(argument.as_os_str());
            }
        }
        passed.extend(self.programs.iter().skip(1).map(OsString::as_os_str));
        passed
    }

    /// Returns the arguments for the test programs, with the `--` before them.
    pub(super) fn programs(&self) -> &[OsString] {
        &self.programs
    }

    /// Returns cargo's arguments as they were given. Without a package among them, all are selected.
    pub(super) fn given(&self) -> Vec<OsString> {
        let everything = if self.names_a_package() { None } else { Some(OsString::from("--workspace")) };
        everything.into_iter().chain(self.cargo.iter().cloned()).collect()
    }

    /// Returns cargo's arguments without those that select targets.
    pub(super) fn without_targets(&self) -> Vec<OsString> {
        let mut given = self.given().into_iter();
        let mut kept = Vec::new();
        while let Some(argument) = given.next() {
            if is_one_of(&NAMED_TARGETS, &argument) {
                given.next();
            } else if !selects_targets(&argument) {
                kept.push(argument);
            }
        }
        kept
    }

    /// Returns whether an argument selects targets.
    pub(super) fn selects_targets(&self) -> bool {
        self.texts().any(|argument| selects_targets(OsStr::new(argument)))
    }

    /// Returns whether an argument is this option.
    pub(super) fn has(&self, option: &str) -> bool {
        self.texts().any(|argument| argument == option)
    }

    /// Returns the packages that are selected, none if all are.
    pub(super) fn packages(&self) -> Vec<&str> {
        self.values(&["--package", "-p"])
    }

    pub(super) fn excluded(&self) -> Vec<&str> {
        self.values(&["--exclude"])
    }

    /// Returns the values of `--test`.
    pub(super) fn tests(&self) -> Vec<&str> {
        self.values(&["--test"])
    }

    fn names_a_package(&self) -> bool {
        !self.packages().is_empty() || self.has("--workspace") || self.has("--all")
    }

    /// Returns the values of an option in each of its spellings: `--option value`, `--option=value`, `-o value`,
    /// `-ovalue`.
    fn values(&self, options: &[&str]) -> Vec<&str> {
        let mut arguments = self.texts();
        let mut values = Vec::new();

        while let Some(argument) = arguments.next() {
            if options.contains(&argument) {
                values.extend(arguments.next());
                continue;
            }
            values.extend(options.iter().find_map(|option| {
                let rest = argument.strip_prefix(option)?;
                if option.starts_with("--") { rest.strip_prefix('=') } else { Some(rest) }
            }));
        }
        values
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        self.cargo.iter().map(|argument| argument.to_str().unwrap_or_default())
    }
}

fn selects_targets(argument: &OsStr) -> bool {
    let argument = argument.to_str().unwrap_or_default();
    let name = argument.split_once('=').map_or(argument, |(name, _)| name);
    TARGETS.contains(&name) || NAMED_TARGETS.contains(&name)
}

fn is_one_of(options: &[&str], argument: &OsStr) -> bool {
    argument.to_str().is_some_and(|argument| options.contains(&argument))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(texts: &[&str]) -> Arguments {
        Arguments::new(&texts.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn packages_are_read_in_each_spelling() {
        let all = arguments(&["-p", "a", "--package=b", "--package", "c", "-pd", "--exclude=f", "--", "-p", "e"]);
        assert_eq!(all.packages(), ["a", "b", "c", "d"]);
        assert_eq!(all.excluded(), ["f"]);
        assert_eq!(all.given(), ["-p", "a", "--package=b", "--package", "c", "-pd", "--exclude=f"]);
        assert_eq!(all.programs(), ["--", "-p", "e"]);
        assert_eq!(all.of_program(), ["-p", "e"]);
    }

    #[test]
    fn without_a_package_all_are_selected() {
        assert_eq!(arguments(&["--", "filter"]).given(), ["--workspace"]);
        assert_eq!(arguments(&["--workspace", "--exclude", "a"]).given(), ["--workspace", "--exclude", "a"]);
    }

    #[test]
    fn targets_are_taken_out_with_their_names() {
        let all = arguments(&["-p", "a", "--test", "b", "--lib", "--test=c", "--tests", "filter", "--no-fail-fast"]);
        assert!(all.selects_targets());
        assert_eq!(all.tests(), ["b", "c"]);
        assert_eq!(all.without_targets(), ["-p", "a", "filter", "--no-fail-fast"]);
        assert_eq!(all.of_program(), ["filter"]);
        assert!(!arguments(&["-p", "a", "testing", "--", "--test"]).selects_targets());
    }
}
