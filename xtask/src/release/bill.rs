//! The bill of materials of a program, as CycloneDX has it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};
use xtask::stack::workspace;

use crate::outcome::Result;
use crate::program::cargo;

/// A version of a package.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Package {
    name: String,
    version: String,
}

/// The packages that a program is made of.
#[derive(Debug)]
pub(crate) struct Bill {
    program: Package,
    /// The licence of each package.
    licences: BTreeMap<Package, String>,
    /// The packages that each package uses.
    uses: BTreeMap<Package, BTreeSet<Package>>,
    /// The SHA-256 of each package's archive; packages of the workspace have none.
    checksums: BTreeMap<Package, String>,
}

impl Bill {
    /// Asks cargo for the dependencies of a package, with these arguments that select it and its features.
    pub(crate) fn read(name: &str, version: &str, arguments: &[String]) -> Result<Self> {
        let output = Command::new(cargo())
            .args(["tree", "--edges=normal", "--prefix=depth", "--charset=ascii", "--format={p}\t{l}"])
            .args(arguments)
            .current_dir(workspace())
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(format!("cargo tree of {name} ended with {}", output.status).into());
        }
        let lock = fs::read_to_string(workspace().join("Cargo.lock"))?;
        let program = Package { name: name.to_owned(), version: version.to_owned() };
        Self::of(program, &String::from_utf8(output.stdout)?, &lock)
    }

    fn of(program: Package, tree: &str, lock: &str) -> Result<Self> {
        let (mut licences, mut uses) = (BTreeMap::new(), BTreeMap::<_, BTreeSet<_>>::new());
        let mut above: Vec<Package> = Vec::new();

        for line in tree.lines().filter(|line| !line.is_empty()) {
            let unread = || format!("cargo tree printed {line:?}");
            let digits = line.find(|c: char| !c.is_ascii_digit()).ok_or_else(unread)?;
            let (depth, rest) = line.split_at(digits);
            let (package, licence) = rest.split_once('\t').ok_or_else(unread)?;
            let mut words = package.split(' ');
            let name = words.next().ok_or_else(unread)?.to_owned();
            let version = words.next().and_then(|word| word.strip_prefix('v')).ok_or_else(unread)?.to_owned();
            let package = Package { name, version };

            above.truncate(depth.parse()?);
            if let Some(user) = above.last() {
                uses.entry(user.clone()).or_default().insert(package.clone());
            }
            // A package that was shown before has no licence, but a mark.
            let licence = licence.trim_end_matches("(*)").trim().replace('/', " OR ");
            licences.entry(package.clone()).or_insert(licence);
            above.push(package);
        }
        Ok(Self { program, licences, uses, checksums: checksums(lock) })
    }

    fn component(&self, package: &Package, licence: &str) -> Value {
        let purl = package.to_string();
        let mut component = Map::new();
        let mut set = |key: &str, value: Value| drop(component.insert(key.to_owned(), value));
        set("type", json!("library"));
        set("bom-ref", json!(purl));
        set("name", json!(package.name));
        set("version", json!(package.version));
        set("purl", json!(purl));
        if !licence.is_empty() {
            set("licenses", json!([{ "expression": licence }]));
        }

        if let Some(checksum) = self.checksums.get(package) {
            set("hashes", json!([{ "alg": "SHA-256", "content": checksum }]));
        }
        Value::Object(component)
    }
}

impl fmt::Display for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = json!({
            "type": "application",
            "bom-ref": self.program.to_string(),
            "name": self.program.name,
            "version": self.program.version,
            "purl": self.program.to_string(),
        });
        let others = self.licences.iter().filter(|(package, _)| **package != self.program);
        let components: Vec<_> = others.map(|(package, licence)| self.component(package, licence)).collect();
        let refs = |used: &BTreeSet<Package>| used.iter().map(ToString::to_string).collect::<Vec<_>>();
        let uses = self.uses.iter().map(|(user, used)| json!({ "ref": user.to_string(), "dependsOn": refs(used) }));
        let bill = json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": { "component": program },
            "components": components,
            "dependencies": uses.collect::<Vec<_>>(),
        });

        writeln!(f, "{bill:#}")
    }
}

/// The package's URL (purl).
impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pkg:cargo/{}@{}", self.name, self.version)
    }
}

/// Returns the checksums of a `Cargo.lock`.
fn checksums(lock: &str) -> BTreeMap<Package, String> {
    let packages = lock.split("[[package]]\n").skip(1);
    let read = packages.filter_map(|text| {
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = \""));
            line.and_then(|value| value.strip_suffix('"')).map(str::to_owned)
        };
        Some((Package { name: field("name")?, version: field("version")? }, field("checksum")?))
    });
    read.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_has_its_licence_its_checksum_and_what_it_uses() {
        let tree = "0app v0.1.0 (/w/app)\tMIT\n1a v1.0.0\tMIT/Apache-2.0\n2b v2.0.0 (proc-macro)\tZlib\n1b v2.0.0 (proc-macro)\tZlib (*)\n";
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"ab12\"\n";
        let program = Package { name: "app".to_owned(), version: "0.1.0".to_owned() };
        let bill: Value = serde_json::from_str(&Bill::of(program, tree, lock).unwrap().to_string()).unwrap();
        assert_eq!(bill["metadata"]["component"]["purl"], "pkg:cargo/app@0.1.0");

        let expected = json!({
            "type": "library",
            "bom-ref": "pkg:cargo/a@1.0.0",
            "name": "a",
            "version": "1.0.0",
            "purl": "pkg:cargo/a@1.0.0",
            "licenses": [{ "expression": "MIT OR Apache-2.0" }],
            "hashes": [{ "alg": "SHA-256", "content": "ab12" }],
        });

        assert_eq!(bill["components"][0], expected);
        assert_eq!(bill["components"].as_array().unwrap().len(), 2);
        assert_eq!(bill["dependencies"][1]["dependsOn"], json!(["pkg:cargo/a@1.0.0", "pkg:cargo/b@2.0.0"]));
    }
}
