//! The test runs, and their order.

use std::collections::BTreeSet;
use std::ffi::OsString;

use xtask::stack::PostgresVersion;

use super::arguments::Arguments;
use super::targets::{Kind, Target, selected};

/// The packages whose suites run on several versions of PostgreSQL.
const VERSIONED: [&str; 2] = ["outbox-pg", "outbox-relay"];

/// The suites that run next to the others: those that do not use the shared PostgreSQL, and `cli`, which passes on each
/// version. The division makes both lanes equally long.
const OF_SECOND_LANE: [&str; 6] = ["cli", "conformance", "connect", "public_items", "secure_cluster", "security"];

/// The arguments of one `cargo test`, without those for the test programs.
pub(super) type Selection = Vec<OsString>;

/// The runs of the test programs. Those of the second lane run at the same time, on servers of their own.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The selections that are built before servers are started.
    pub(super) build: Vec<Selection>,
    pub(super) first: Vec<Selection>,
    pub(super) second: Vec<OtherVersion>,
}

/// The part of the second lane on one version of PostgreSQL.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OtherVersion {
    pub(super) version: PostgresVersion,
    pub(super) suites: Vec<Target>,
    /// Selects the documentation's examples, if they run here.
    pub(super) documentation: Option<Selection>,
}

/// The extent of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Usual,
    /// With the longer suites, and all versions of PostgreSQL.
    Full,
}

impl Plan {
    /// Plans a run on one version of PostgreSQL.
    pub(super) fn on_one_version(arguments: &Arguments, all: &[Target], extent: Extent) -> Self {
        let given = arguments.given();
        let long = long_suites(arguments, all);
        let build = long.iter().cloned().chain([given.clone()]).collect();
        let first = [given].into_iter().chain(long.into_iter().filter(|_| extent == Extent::Full)).collect();
        Self { build, first, second: Vec::new() }
    }

    /// Plans a run whose first lane has the PostgreSQL of this version. The suites of [`VERSIONED`] run on others too.
    pub(super) fn new(arguments: &Arguments, all: &[Target], extent: Extent, installed: PostgresVersion) -> Self {
        let targets = selected(all, arguments).unwrap_or_default();
        let versioned = versioned_suites(arguments, &targets);
        if versioned.is_empty() {
            return Self::on_one_version(arguments, all, extent);
        }
        let versions: Vec<_> = match extent {
            Extent::Usual => PostgresVersion::of_every_run().collect(),
            Extent::Full => PostgresVersion::all().collect(),
        };

        let mut plan = if arguments.selects_targets() {
            Self::on_one_version(arguments, all, extent)
        } else {
            Self::of_first_lane(arguments, &targets, extent)
        };

        // The newest version is first, because changes are most likely to fail there.
        let others = versions.into_iter().rev().filter(|version| *version != installed);
        let suites = |version| OtherVersion { version, suites: versioned.clone(), documentation: None };
        plan.second = others.map(suites).collect();
        if let Some(newest) = plan.second.first_mut().filter(|_| !arguments.selects_targets()) {
            newest.suites.extend(targets.into_iter().filter(Target::is_of_second_lane));
            newest.documentation =
                Some(arguments.without_targets().into_iter().chain([OsString::from("--doc")]).collect());
        }
        plan
    }

    /// Plans the runs of all targets of the selected packages, without those that the second lane has.
    fn of_first_lane(arguments: &Arguments, targets: &[Target], extent: Extent) -> Self {
        let base = arguments.without_targets();
        let has = |kind| targets.iter().any(|target| target.kind == kind);
        let named = |kind| targets.iter().filter(move |target| target.kind == kind).map(|target| target.name.as_str());

        // With these, each package counts as selected. Otherwise cargo would build dependencies with fewer features.
        let mut units = base.clone();
        units.extend(has(Kind::Library).then(|| OsString::from("--lib")));
        units.extend(has(Kind::Program).then(|| OsString::from("--bins")));
        let all_suites = named(Kind::Suite).chain(named(Kind::LongSuite)).collect();
        let build = vec![with_suites(units.clone(), all_suites)];

        let of_first_lane = named(Kind::Suite).filter(|name| !OF_SECOND_LANE.contains(name)).collect();
        let mut first = vec![with_suites(units, of_first_lane)];
        if extent == Extent::Full && has(Kind::LongSuite) {
            first.push(with_suites(base, named(Kind::LongSuite).collect()));
        }
        Self { build, first, second: Vec::new() }
    }
}

impl Target {
    fn is_of_second_lane(&self) -> bool {
        self.kind == Kind::Suite && OF_SECOND_LANE.contains(&&*self.name)
    }
}

/// Returns the suites of [`VERSIONED`] that are selected.
fn versioned_suites(arguments: &Arguments, targets: &[Target]) -> Vec<Target> {
    let given = arguments.tests();
    let has_all = !arguments.selects_targets() || arguments.has("--tests") || arguments.has("--all-targets");
    let is_given = |name: &str| has_all || given.iter().any(|given| *given == name || *given == "*");
    let suites = targets.iter().filter(|target| target.kind == Kind::Suite && VERSIONED.contains(&&*target.package));
    suites.filter(|target| is_given(&target.name)).cloned().collect()
}

fn long_suites(arguments: &Arguments, all: &[Target]) -> Vec<Selection> {
    if arguments.selects_targets() {
        return Vec::new();
    }
    let targets = selected(all, arguments).unwrap_or_default();
    let long = targets.iter().filter(|target| target.kind == Kind::LongSuite);
    long.map(|suite| with_suites(arguments.without_targets(), BTreeSet::from([&*suite.name]))).collect()
}

fn with_suites(base: Selection, names: BTreeSet<&str>) -> Selection {
    base.into_iter().chain(names.into_iter().flat_map(|name| ["--test", name].map(OsString::from))).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn target(package: &str, name: &str, kind: Kind) -> Target {
        Target { package: package.to_owned(), name: name.to_owned(), kind, manifest: PathBuf::new() }
    }

    fn plan(arguments: &[&str], extent: Extent) -> Plan {
        let all = [
            target("outbox-pg", "outbox_pg", Kind::Library),
            target("outbox-pg", "postgres", Kind::Suite),
            target("outbox-relay", "outbox_relay", Kind::Library),
            target("outbox-relay", "outbox-relay", Kind::Program),
            target("outbox-relay", "relay", Kind::Suite),
            target("outbox-sqlx", "postgres", Kind::Suite),
            target("xtask", "connect", Kind::Suite),
            target("xtask", "full", Kind::LongSuite),
        ];
        let arguments = Arguments::new(&arguments.iter().map(OsString::from).collect::<Vec<_>>());
        Plan::new(&arguments, &all, extent, version(15))
    }

    fn version(number: u32) -> PostgresVersion {
        number.to_string().parse().unwrap()
    }

    fn text(selections: &[Selection]) -> Vec<String> {
        selections
            .iter()
            .map(|words| words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" "))
            .collect()
    }

    fn suites(of: &OtherVersion) -> Vec<String> {
        of.suites.iter().map(|suite| format!("{} {}", suite.package, suite.name)).collect()
    }

    #[test]
    fn every_run_tests_postgresql_15_and_18() {
        let plan = plan(&["--", "filter"], Extent::Usual);
        let build = "--workspace --lib --bins --test connect --test full --test postgres --test relay";
        assert_eq!(text(&plan.build), [build]);
        assert_eq!(text(&plan.first), ["--workspace --lib --bins --test postgres --test relay"]);
        let [newest] = &plan.second[..] else { panic!("{plan:?}") };
        assert_eq!(newest.version, version(18));
        assert_eq!(suites(newest), ["outbox-pg postgres", "outbox-relay relay", "xtask connect"]);
        assert_eq!(text(newest.documentation.as_slice()), ["--workspace --doc"]);
    }

    #[test]
    fn a_full_run_tests_all_versions_and_the_long_suites() {
        let plan = plan(&[], Extent::Full);
        assert_eq!(text(&plan.first)[1..], ["--workspace --test full"]);
        let versions: Vec<_> = plan.second.iter().map(|of| of.version).collect();
        assert_eq!(versions, [18, 17, 16, 14].map(version));
        for of in &plan.second[1..] {
            assert_eq!(suites(of), ["outbox-pg postgres", "outbox-relay relay"]);
            assert_eq!(of.documentation, None);
        }
    }

    #[test]
    fn a_suite_that_is_named_runs_on_both_versions_too() {
        let plan = plan(&["-p", "outbox-relay", "--test", "relay", "a_name"], Extent::Usual);
        assert_eq!(text(&plan.first), ["-p outbox-relay --test relay a_name"]);
        assert_eq!(plan.second.len(), 1);
        assert_eq!(suites(&plan.second[0]), ["outbox-relay relay"]);
        assert_eq!(plan.second[0].documentation, None);
    }

    #[test]
    fn other_runs_have_one_lane() {
        for arguments in [&["-p", "xtask"][..], &["-p", "outbox-pg", "--lib"], &["--doc"], &["-p", "unknown@1.0"]] {
            let plan = plan(arguments, Extent::Usual);
            assert_eq!(plan.second, [], "{arguments:?}");
        }
        assert_eq!(text(&plan(&["-p", "xtask"], Extent::Usual).build), ["-p xtask --test full", "-p xtask"]);
        assert_eq!(text(&plan(&["-p", "xtask"], Extent::Full).first), ["-p xtask", "-p xtask --test full"]);
    }

    #[test]
    fn the_lists_name_packages_and_suites_that_exist() {
        let all = super::super::targets::all().unwrap();
        for package in VERSIONED {
            assert!(all.iter().any(|target| target.package == package && target.kind == Kind::Suite), "{package}");
        }
        for suite in OF_SECOND_LANE {
            let same: Vec<_> = all.iter().filter(|target| target.name == suite).collect();
            assert!(!same.is_empty() && same.iter().all(|target| !VERSIONED.contains(&&*target.package)), "{suite}");
        }
    }
}
