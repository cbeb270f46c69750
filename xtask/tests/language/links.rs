//! Every link within the repository leads to a file, and to a heading of it.

use std::path::{Component, Path, PathBuf};

use super::markdown::Page;
use super::none;
use super::workspace::{files, root};

#[test]
fn every_link_resolves() {
    let mut faults = Vec::new();
    for file in files("md") {
        for (line, link) in Page::new(&file.text).links() {
            let is_outside = ["http://", "https://", "mailto:"].iter().any(|scheme| link.starts_with(scheme));
            let result = if is_outside { Ok(()) } else { resolve(&file.path, &file.text, &link) };
            faults.extend(result.err().map(|reason| file.fault(line, &format!("{link}: {reason}"))));
        }
    }
    none(&faults);
}

/// Checks a link of the page at `path`.
fn resolve(path: &Path, text: &str, link: &str) -> Result<(), String> {
    let (target, anchor) = link.split_once('#').map_or((link, None), |(target, anchor)| (target, Some(anchor)));
    let target = if target.is_empty() { path.to_owned() } else { normal(&path.with_file_name("").join(target)) };
    let absolute = root().join(&target);
    if !absolute.exists() {
        return Err(format!("{} does not exist", target.display()));
    }
    let Some(anchor) = anchor else { return Ok(()) };
    let page = if target == path { text.to_owned() } else { std::fs::read_to_string(absolute).unwrap_or_default() };
    match Page::new(&page).anchors().iter().any(|known| known == anchor) {
        true => Ok(()),
        false => Err(format!("{} has no heading #{anchor}", target.display())),
    }
}

/// Resolves `..` in a path.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            _ = normal.pop()
        } else if part != Component::CurDir {
            normal.push(part)
        }
    }
    normal
}
