//! Which file of a crate uses which other one.
//!
//! A file has an arrow to another one if its code names an item that is defined there. Re-exports are followed to the
//! definition. So `mod` is no arrow, and a `use` is none if its name does not occur in the file's code: it only passes
//! the name on. A call of a method names no item.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::modules::{Crate, Module};

/// A path that needs more steps than this leads nowhere: re-exports of one name by another in a circle.
const MAX_STEPS: usize = 40;

/// For each file the files that it uses, with the names that it uses of each.
#[derive(Debug, Default)]
pub(crate) struct Arrows(BTreeMap<String, BTreeMap<String, BTreeSet<String>>>);

/// A module, or an item that it defines.
#[derive(Clone, Debug)]
struct Target {
    module: usize,
    item: Option<String>,
}

impl Arrows {
    /// Finds the arrows between the files of a crate, which are named by their path below `source`.
    pub(crate) fn between(all: &Crate, source: &Path) -> Self {
        let mut arrows = Self::default();
        for (index, module) in all.modules.iter().enumerate() {
            for import in &module.imports {
                let Some(target) = find(all, index, &import.path, MAX_STEPS) else { continue };
                let is_used = match &target.item {
                    Some(item) => {
                        let is_trait = all.modules[target.module].items[item];
                        module.names.contains(&import.name) || (is_trait && !import.is_visible)
                    }
                    // Names of a glob are not looked for one by one.
                    None => import.name == "*" && !import.is_visible,
                };
                arrows.add(all, source, module, &target, is_used);
            }
            for target in module.paths.iter().filter_map(|path| find(all, index, path, MAX_STEPS)) {
                let is_item = target.item.is_some();
                arrows.add(all, source, module, &target, is_item);
            }
        }
        arrows
    }

    /// Returns the arrows of both.
    pub(crate) fn merged(mut self, other: Self) -> Self {
        for (file, used) in other.0 {
            self.0.entry(file).or_default().extend(used);
        }
        self
    }

    /// Returns the files that a file can reach over arrows.
    pub(crate) fn reachable<'a>(&'a self, from: &'a str) -> BTreeSet<&'a str> {
        let (mut found, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(file) = open.pop() {
            let next = self.0.get(file).into_iter().flat_map(BTreeMap::keys);
            open.extend(next.map(String::as_str).filter(|next| found.insert(*next)));
        }
        found
    }

    /// Returns the files that have arrows to others.
    pub(crate) fn files(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Formats the arrows among some files, one a line.
    pub(crate) fn among(&self, files: &BTreeSet<String>) -> String {
        let mut text = String::new();
        for (from, used) in self.0.iter().filter(|(from, _)| files.contains(*from)) {
            for (to, names) in used.iter().filter(|(to, _)| files.contains(*to)) {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                text += &format!("    {from} uses {to}: {}\n", names.join(", "));
            }
        }
        text
    }

    fn add(&mut self, all: &Crate, source: &Path, module: &Module, target: &Target, is_used: bool) {
        let other = &all.modules[target.module];
        if is_used && other.file != module.file {
            let name = |file: usize| all.files()[file].path.strip_prefix(source).unwrap().display().to_string();
            let used = self.0.entry(name(module.file)).or_default().entry(name(other.file)).or_default();
            used.insert(target.item.clone().unwrap_or_else(|| "*".to_owned()));
        }
    }
}

/// Follows a path from a module to what it names; `None` if that is not of this crate.
fn find(all: &Crate, from: usize, path: &[String], steps: usize) -> Option<Target> {
    let steps = steps.checked_sub(1)?;
    let (mut at, mut is_first) = (from, true);

    for (index, name) in path.iter().enumerate() {
        let (module, was_first) = (&all.modules[at], std::mem::take(&mut is_first));
        match name.as_str() {
            "crate" if was_first => at = 0,
            "self" => {}
            "super" => at = module.parent?,
            // A function may have the name of a module.
            name if index + 1 < path.len() && module.children.contains_key(name) => at = module.children[name],
            name if module.items.contains_key(name) => {
                return Some(Target { module: at, item: Some(name.to_owned()) });
            }
            name => {
                // `use time::{self, …}` names a crate, and not itself.
                let imported = module.imports.iter().filter(|it| it.name == name && it.path[0] != name);
                let rest = &path[index + 1..];
                let joined = |import: &[String]| [import, rest].concat();
                if let Some(found) = imported.filter_map(|it| find(all, at, &joined(&it.path), steps)).next() {
                    return Some(found);
                }
                match module.children.get(name) {
                    Some(child) => at = *child,
                    None => return in_globs(all, at, &path[index..], steps),
                }
            }
        }
    }
    Some(Target { module: at, item: None })
}

/// Looks for a path in the modules that a module has a glob of.
fn in_globs(all: &Crate, at: usize, path: &[String], steps: usize) -> Option<Target> {
    let globs = all.modules[at].imports.iter().filter(|import| import.name == "*");
    let modules = globs.filter_map(|import| find(all, at, &import.path, steps)).filter(|it| it.item.is_none());
    modules.filter(|it| it.module != at).filter_map(|it| find(all, it.module, path, steps)).next()
}
