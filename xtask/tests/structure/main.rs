//! The rules of CONTRIBUTING.md for files that a program can check: no import cycles between the files of a crate,
//! files that are neither crumbs nor full of `pub(super)`, and clocks and sockets in one place.
//!
//! `limits.txt` has the crates whose files are still cut too small. It may only shrink:
//! `UPDATE_STRUCTURE=1 cargo test -p xtask --test structure` removes from it what is fixed, and adds nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

mod arrows;
mod cycles;
mod effects;
mod measures;
mod modules;
mod names;
mod uses;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use self::arrows::Arrows;
use self::cycles::cycles;
use self::measures::{Limits, Measures};
use self::modules::Crate;

/// The directories whose members are packages.
const PACKAGES: [&str; 2] = ["crates", "examples"];
/// The packages at the root.
const ROOT_PACKAGES: [&str; 2] = ["bench", "xtask"];
/// A smaller crate cannot be cut into too many files.
const LEAST_FILES: usize = 20;

#[test]
fn files_of_a_crate_import_each_other_in_one_direction() {
    let mut faults = Vec::new();
    for (name, directory) in packages() {
        let arrows = targets(&directory).map(|root| Arrows::between(&Crate::read(&root), &directory.join("src")));
        let arrows = arrows.fold(Arrows::default(), Arrows::merged);
        for cycle in cycles(&arrows) {
            let files: Vec<_> = cycle.iter().map(String::as_str).collect();
            faults.push(format!("{name} has an import cycle of {}:\n{}", files.join(" "), arrows.among(&cycle)));
        }
    }
    assert!(faults.is_empty(), "{} faults, see CONTRIBUTING.md:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn files_hold_a_whole_concept_and_keep_it_private() {
    let crates = packages().into_iter().filter(|(_, directory)| directory.starts_with(root().join("crates")));
    let found = crates.filter_map(|(name, directory)| {
        let read: Vec<_> = targets(&directory).map(|root| Crate::read(&root)).collect();
        let measures = Measures::of(read.iter().flat_map(Crate::files));
        (measures.files >= LEAST_FILES).then_some((name, measures))
    });
    let found: BTreeMap<_, _> = found.collect();

    let file = own_file("limits.txt");
    let limits = Limits::parse(&fs::read_to_string(&file).unwrap());
    if updates() {
        fs::write(&file, limits.shrunk(&found).to_string()).unwrap();
        return;
    }
    let faults = limits.faults(&found);
    assert!(faults.is_empty(), "{} faults, see CONTRIBUTING.md:\n{}", faults.len(), faults.join("\n"));
}

fn updates() -> bool {
    std::env::var_os("UPDATE_STRUCTURE").is_some()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn own_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/structure").join(name)
}

/// Returns the packages with a library or a program, by name.
fn packages() -> BTreeMap<String, PathBuf> {
    let root = root();
    let members =
        PACKAGES.iter().flat_map(|it| fs::read_dir(root.join(it)).unwrap()).map(|entry| entry.unwrap().path());
    let all = members.chain(ROOT_PACKAGES.iter().map(|name| root.join(name)));
    let named = |path: PathBuf| (path.file_name().unwrap().to_string_lossy().into_owned(), path);
    all.filter(|path| targets(path).next().is_some()).map(named).collect()
}

/// Returns the files that a package's library and program begin with.
fn targets(package: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let source = package.join("src");
    ["lib.rs", "main.rs"].into_iter().map(move |name| source.join(name)).filter(|path| path.exists())
}
