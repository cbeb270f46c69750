//! A check for all programs that servers and tests need, before a server starts.

use std::path::Path;

use super::chromium::chromium;
use super::debian::Debian;
use super::pgbouncer::pgbouncer;
use super::search::on_path;
use super::task::Task;
use super::{java, maven, postgres};
use crate::stack::error::StackError;
use crate::stack::options::StackOptions;
use crate::stack::paths;

/// The directory that systemd makes when it runs the system.
const SYSTEMD: &str = "/run/systemd/system";

/// A program, and the packages that contain it.
#[derive(Debug)]
pub(super) struct Needed {
    /// Its name and its purpose.
    name: &'static str,
    is_installed: fn() -> bool,
    debian: &'static str,
    fedora: &'static str,
    homebrew: &'static str,
}

static JAVA: Needed = Needed {
    name: "Java 17 or newer, which Kafka runs on",
    is_installed: || java::find().is_some(),
    debian: "default-jre-headless",
    fedora: "java-21-openjdk-headless",
    homebrew: "openjdk",
};

static MAVEN: Needed = Needed {
    name: "Maven (`mvn`), which gets Kafka and Debezium",
    is_installed: || on_path("mvn").is_some(),
    debian: "maven",
    fedora: "maven",
    homebrew: "maven",
};

/// PostgreSQL, which is downloaded if it cannot be installed.
static POSTGRES: Needed = Needed {
    name: "PostgreSQL 14 or newer",
    is_installed: || postgres::installed_postgres().is_some(),
    debian: "postgresql",
    fedora: "postgresql-server",
    homebrew: "postgresql@18",
};

/// The programs that only some tests start.
static FOR_TESTS: [Needed; 6] = [
    Needed {
        name: "PgBouncer, for tests of poolers",
        is_installed: || pgbouncer().is_some(),
        debian: "pgbouncer",
        fedora: "pgbouncer",
        homebrew: "pgbouncer",
    },
    Needed {
        name: "Prometheus and promtool, for tests of deploy/",
        is_installed: || on_path("promtool").is_some() && on_path("prometheus").is_some(),
        debian: "prometheus",
        fedora: "golang-github-prometheus",
        homebrew: "prometheus",
    },
    Needed {
        name: "Chromium, for tests of the example's page",
        is_installed: || chromium().is_ok(),
        debian: "chromium fonts-liberation",
        fedora: "chromium",
        homebrew: "google-chrome",
    },
    Needed {
        name: "psql, for tests of operators' commands",
        is_installed: || on_path("psql").is_some(),
        debian: "postgresql-client",
        fedora: "postgresql",
        homebrew: "libpq",
    },
    Needed {
        name: "faketime, for tests of clocks that differ",
        is_installed: || on_path("faketime").is_some(),
        debian: "faketime",
        fedora: "libfaketime",
        homebrew: "libfaketime",
    },
    Needed {
        name: "curl, for tests of the runbooks",
        is_installed: || on_path("curl").is_some(),
        debian: "curl",
        fedora: "curl",
        homebrew: "curl",
    },
];

/// Gets the programs that servers need, in one installation if this process may install packages.
///
/// # Errors
/// Some are missing: the error lists all of them, with a line that installs them for each system.
pub(super) fn provide(options: &StackOptions) -> Result<(), StackError> {
    let missing = install(options, &for_servers(options))?;
    if missing.is_empty() { Ok(()) } else { Err(StackError::new(list(&missing))) }
}

/// Gets all programs that servers and tests need, in one installation if this process may install packages. Otherwise
/// reports those that are missing.
///
/// # Errors
/// Programs are missing that servers need. Without the others, the tests that start them fail.
pub fn prepare_for_tests(options: &StackOptions) -> Result<(), StackError> {
    let mut needed = for_servers(options);
    let servers = needed.len();
    needed.extend(&FOR_TESTS);
    let missing = install(options, &needed)?;
    let is_of_servers = |it: &&Needed| needed.iter().take(servers).any(|other| std::ptr::eq(*it, *other));
    if missing.iter().any(is_of_servers) {
        return Err(StackError::new(list(&missing)));
    }
    if !missing.is_empty() {
        (options.report)(&list(&missing));
    }
    Ok(())
}

/// Returns the programs that the servers of a stack need.
fn for_servers(options: &StackOptions) -> Vec<&'static Needed> {
    let mut needed = vec![&JAVA];
    if !maven::has_all(&options.paths.dist()) {
        needed.push(&MAVEN);
    }
    if options.postgres.is_none() && ((POSTGRES.is_installed)() || may_install().is_some()) {
        needed.push(&POSTGRES);
    }
    needed
}

/// Installs the missing programs if possible, and returns those that are still missing.
fn install<'a>(options: &StackOptions, needed: &[&'a Needed]) -> Result<Vec<&'a Needed>, StackError> {
    let missing = |needed: &[&'a Needed]| needed.iter().copied().filter(|it| !(it.is_installed)()).collect::<Vec<_>>();
    let before = missing(needed);
    match may_install() {
        Some(debian) if !before.is_empty() => {
            let packages: Vec<_> = before.iter().flat_map(|it| it.debian.split(' ')).collect();
            paths::create(&options.paths.logs())?;
            debian.install(&Task::of(options), &packages)?;
            Ok(missing(&before))
        }
        _ => Ok(before),
    }
}

/// Returns the package manager if it may be used. It is not used on a system with systemd, because packages of servers
/// would start and enable services there.
fn may_install() -> Option<Debian> {
    if Path::new(SYSTEMD).exists() { None } else { Debian::detect() }
}

/// Lists missing programs, with a line for each system that installs them.
fn list(missing: &[&Needed]) -> String {
    let names: Vec<_> = missing.iter().map(|it| format!("  - {}", it.name)).collect();
    let packages = |of: fn(&Needed) -> &str| {
        let mut packages: Vec<_> = missing.iter().map(|it| of(it)).collect();
        packages.dedup();
        packages.join(" ")
    };
    format!(
        "these programs are missing:\n{}\ninstall them:\n  Debian, Ubuntu: sudo apt-get install {}\n  Fedora: sudo dnf \
         install {}\n  macOS: brew install {}",
        names.join("\n"),
        packages(|it| it.debian),
        packages(|it| it.fedora),
        packages(|it| it.homebrew),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_missing_is_listed_with_one_line_for_each_system() {
        let text = list(&[&JAVA, &MAVEN, &FOR_TESTS[0]]);
        assert!(text.contains("  - Java 17 or newer, which Kafka runs on\n  - Maven"), "{text}");
        for line in [
            "  Debian, Ubuntu: sudo apt-get install default-jre-headless maven pgbouncer",
            "  Fedora: sudo dnf install java-21-openjdk-headless maven pgbouncer",
            "  macOS: brew install openjdk maven pgbouncer",
        ] {
            assert!(text.lines().any(|it| it == line), "{text}");
        }
    }

    /// The hosted machines run systemd, so nothing is installed there by itself.
    #[test]
    fn the_hosted_workflow_installs_all_of_it() {
        let workflow = std::fs::read_to_string(paths::workspace().join(".github/workflows/ci.yml")).unwrap();
        let all = [&JAVA, &MAVEN, &POSTGRES].into_iter().chain(&FOR_TESTS);
        let packages = all.filter(|it| !it.name.starts_with("Chromium")).flat_map(|it| it.debian.split(' '));
        for package in packages {
            assert!(workflow.split_whitespace().any(|word| word == package), "ci.yml does not install {package}");
        }
    }

    #[test]
    fn a_system_that_systemd_runs_gets_no_packages() {
        assert!(!Path::new(SYSTEMD).exists() || may_install().is_none());
    }
}
