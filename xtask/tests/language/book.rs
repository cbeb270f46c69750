//! The book's table of contents.

use std::collections::BTreeSet;
use std::path::Path;

use super::markdown::Page;
use super::none;
use super::workspace::{files, root};

#[test]
fn the_table_of_contents_lists_every_page() {
    let pages = files("md").into_iter().filter(|file| file.path.starts_with("docs"));
    let pages: BTreeSet<_> = pages.map(|file| file.path.strip_prefix("docs").unwrap().to_owned()).collect();
    let summary = std::fs::read_to_string(root().join("docs/SUMMARY.md")).unwrap();
    let links = Page::new(&summary).links();

    let listed: BTreeSet<_> = links.iter().map(|(_, link)| Path::new(link).to_owned()).collect();
    assert_eq!(listed.len(), links.len(), "SUMMARY.md lists a page twice");
    let missing = pages.iter().filter(|page| !listed.contains(*page) && *page != Path::new("SUMMARY.md"));
    none(&missing.map(|page| format!("docs/SUMMARY.md does not list {}", page.display())).collect::<Vec<_>>());
}
