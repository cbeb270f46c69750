//! The cycles that crates still have: a line for each, `crate: file file …`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::arrows::Arrows;
use super::cycles::cycles;

/// The list of `cycles.txt`.
#[derive(Debug)]
pub(crate) struct Known(BTreeMap<String, Vec<BTreeSet<String>>>);

impl Known {
    /// Reads the list.
    pub(crate) fn parse(text: &str) -> Self {
        let mut known: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (name, files) = line.split_once(": ").unwrap();
            let files = files.split(' ').map(str::to_owned).collect();
            known.entry(name.to_owned()).or_default().push(files);
        }
        Self(known)
    }

    /// Returns the cycles that are not in the list, and the lines that must be removed or shortened.
    pub(crate) fn faults(&self, found: &BTreeMap<String, Arrows>) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, arrows) in found {
            for cycle in cycles(arrows).iter().filter(|cycle| !self.covers(name, cycle)) {
                let files: Vec<_> = cycle.iter().map(String::as_str).collect();
                faults.push(format!("{name} has a new import cycle of {}:\n{}", files.join(" "), arrows.among(cycle)));
            }
        }
        if faults.is_empty() && self.shrunk(found).0 != self.0 {
            faults.push("cycles.txt has more than there is: run the test with UPDATE_STRUCTURE=1".to_owned());
        }
        faults
    }

    /// Returns what is left of the list: the cycles that were in it and still are.
    pub(crate) fn shrunk(&self, found: &BTreeMap<String, Arrows>) -> Self {
        let left = found.iter().map(|(name, arrows)| {
            let left = cycles(arrows).into_iter().filter(|cycle| self.covers(name, cycle)).collect::<Vec<_>>();
            (name.clone(), left)
        });
        Self(left.filter(|(_, left)| !left.is_empty()).collect())
    }

    fn covers(&self, name: &str, cycle: &BTreeSet<String>) -> bool {
        self.0.get(name).into_iter().flatten().any(|known| known.is_superset(cycle))
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, cycles) in &self.0 {
            for cycle in cycles {
                let files: Vec<_> = cycle.iter().map(String::as_str).collect();
                writeln!(f, "{name}: {}", files.join(" "))?;
            }
        }
        Ok(())
    }
}
