//! The test targets of the workspace.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use xtask::stack::workspace;

use super::arguments::Arguments;
use crate::outcome::Result;
use crate::program;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Library,
    Program,
    /// A suite that `cargo test` runs.
    Suite,
    /// A suite that cargo runs only by its name (`test = false`), because it takes long.
    LongSuite,
}

/// A target of cargo that has tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) package: String,
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The path of the package's `Cargo.toml`.
    pub(super) manifest: PathBuf,
}

impl Target {
    /// Returns the path of the suite's program, by the messages of the cargo that built it.
    pub(super) fn executable(&self, messages: &str) -> Option<PathBuf> {
        let messages = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        messages.filter(|message| self.is_subject(message)).find_map(|message| {
            let executable = message.get("executable")?.as_str()?;
            Some(PathBuf::from(executable))
        })
    }

    fn is_subject(&self, message: &Value) -> bool {
        let is = |pointer: &str, value: &str| message.pointer(pointer).and_then(Value::as_str) == Some(value);
        is("/target/name", &self.name)
            && is("/target/kind/0", "test")
            && message.get("manifest_path").and_then(Value::as_str).map(Path::new) == Some(&self.manifest)
    }
}

/// Asks cargo for the targets of the workspace.
pub(super) fn all() -> Result<Vec<Target>> {
    let mut metadata = Command::new(program::cargo());
    metadata.args(["metadata", "--format-version=1", "--no-deps"]).current_dir(workspace());
    let output = metadata.stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("cargo metadata ended with {}", output.status).into());
    }
    Ok(of(&serde_json::from_slice(&output.stdout)?))
}

/// Returns the targets of the packages that are selected; `None` if a package is not one of the workspace's.
pub(super) fn selected(all: &[Target], arguments: &Arguments) -> Option<Vec<Target>> {
    let (packages, excluded) = (arguments.packages(), arguments.excluded());
    let is_known = |package: &&str| all.iter().any(|target| target.package == **package);
    if !packages.iter().chain(&excluded).all(is_known) {
        return None;
    }
    let is_selected =
        |package: &str| (packages.is_empty() || packages.contains(&package)) && !excluded.contains(&package);
    Some(all.iter().filter(|target| is_selected(&target.package)).cloned().collect())
}

fn of(metadata: &Value) -> Vec<Target> {
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let name = |value: &Value| value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut targets = Vec::new();

    for package in list(metadata, "packages") {
        let manifest = package.get("manifest_path").and_then(Value::as_str).unwrap_or_default();
        for target in list(&package, "targets") {
            let kinds = list(&target, "kind");
            let is = |kind: &str| kinds.iter().any(|found| found == kind);
            let kind = match target.get("test") == Some(&Value::Bool(false)) {
                true if is("test") => Kind::LongSuite,
                false if is("test") => Kind::Suite,
                false if is("lib") || is("proc-macro") => Kind::Library,
                false if is("bin") => Kind::Program,
                _ => continue,
            };
            let manifest = PathBuf::from(manifest);
            targets.push(Target { package: name(&package), name: name(&target), kind, manifest });
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_that_cargo_leaves_out_are_long_ones() {
        let target =
            |kind: &str, name: &str, test: bool| serde_json::json!({"kind": [kind], "name": name, "test": test});
        let targets = [
            target("test", "usual", true),
            target("test", "long", false),
            target("bench", "other", false),
            target("lib", "a", true),
            target("custom-build", "build-script-build", false),
        ];
        let manifest = "/w/a/Cargo.toml";
        let metadata = serde_json::json!({"packages": [{"name": "a", "targets": targets, "manifest_path": manifest}]});
        let expected = [("usual", Kind::Suite), ("long", Kind::LongSuite), ("a", Kind::Library)];
        let expected = expected.map(|(name, kind)| Target {
            package: "a".to_owned(),
            name: name.to_owned(),
            kind,
            manifest: PathBuf::from(manifest),
        });

        assert_eq!(of(&metadata), expected);

        let built = |kind: &str, manifest: &str, executable: &str| {
            let target = serde_json::json!({"name": "usual", "kind": [kind]});
            serde_json::json!({"manifest_path": manifest, "target": target, "executable": executable}).to_string()
        };
        let messages = [
            built("lib", manifest, "/t/lib"),
            built("test", "/w/b/Cargo.toml", "/t/b"),
            built("test", manifest, "/t/a"),
            "not a message".to_owned(),
        ];
        assert_eq!(expected[0].executable(&messages.join("\n")), Some(PathBuf::from("/t/a")));
    }

    /// Cargo selects suites of all packages by their names, so a usual run would run the long one too.
    #[test]
    fn no_long_suite_has_the_name_of_another_suite() {
        let all = all().unwrap();
        for long in all.iter().filter(|target| target.kind == Kind::LongSuite) {
            let same: Vec<_> = all.iter().filter(|target| target.name == long.name).collect();
            assert_eq!(same, [long]);
        }
    }
}
