//! The book's table of contents.

use std::collections::{BTreeMap, BTreeSet};
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

/// A block of code after a comment with a path is that file, word for word.
#[test]
fn code_blocks_with_a_path_are_the_file() {
    let (mut faults, mut blocks) = (Vec::new(), 0);
    for file in files("md") {
        let lines: Vec<_> = file.text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let path = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->"));
            let Some(path) = path.filter(|path| root().join(path).is_file()) else { continue };
            let block = lines.iter().skip(index + 2).take_while(|line| !line.starts_with("```"));
            let block: String = block.flat_map(|line| [line, "\n"]).collect();
            blocks += 1;
            if std::fs::read_to_string(root().join(path)).unwrap() != block {
                faults.push(file.fault(index + 1, &format!("the block differs from {path}")));
            }
        }
    }

    none(&faults);
    assert!(blocks > 0, "no block of code names its file");
}

/// The file that compiles blocks of pages that are no whole programs.
const PARTS: &str = "examples/shop/tests/pages.rs";

/// A block of Rust in the book is a file, or a part of the one that compiles such parts, but for the indentation. One
/// in the README of a crate is a part of the crate's page, whose examples are compiled.
#[test]
fn each_block_of_rust_is_compiled() {
    let read = |path: &Path| std::fs::read_to_string(root().join(path)).unwrap();
    let parts = read(Path::new(PARTS));

    let mut faults = Vec::new();
    for page in files("md") {
        let compiled = if page.path.starts_with("docs") {
            code(parts.lines())
        } else if page.path.starts_with("crates") && page.path.ends_with("README.md") {
            let library = page.path.with_file_name("src/lib.rs");
            let text = if root().join(&library).exists() { read(&library) } else { continue };
            if text.contains("include_str!(\"../README.md\")") {
                continue;
            }
            let visible = text.lines().filter_map(|line| line.strip_prefix("//!")).filter(|line| !is_hidden(line));
            code(visible)
        } else {
            continue;
        };
        let lines: Vec<_> = page.text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let is_file = index > 0 && lines[index - 1].starts_with("<!-- ") && lines[index - 1].contains(".rs");
            if !line.starts_with("```rust") || is_file {
                continue;
            }
            let block = code(lines[index + 1..].iter().copied().take_while(|line| !line.starts_with("```")));
            if !compiled.windows(block.len()).any(|part| part == block) {
                faults.push(page.fault(index + 1, "no test compiles this block"));
            }
        }
    }
    none(&faults);
}

/// Returns the lines without indentation, and without those that are empty.
fn code<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    lines.map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Returns whether rustdoc hides the line of an example.
fn is_hidden(line: &str) -> bool {
    let line = line.trim();
    line == "#" || line.starts_with("# ")
}

/// The reference names each method of the consumer's builder, and no other.
#[test]
fn the_settings_of_the_consumer_are_documented() {
    let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
    let items = read("crates/outbox-kafka-consumer/public-items.txt");
    let methods: BTreeSet<_> =
        items.lines().filter_map(|line| line.strip_prefix("struct.Builder method.")?.split(':').next()).collect();

    let page = read("docs/reference/consumer-settings.md");
    let named = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let named: BTreeSet<_> = named.chain(["build"]).collect();
    assert_eq!(named, methods);
}

/// The reference names the predicates of each crate's error.
#[test]
fn the_predicates_of_errors_are_documented() {
    let page = std::fs::read_to_string(root().join("docs/reference/errors.md")).unwrap();
    let mut missing = Vec::new();

    for items in files("txt").into_iter().filter(|file| file.path.ends_with("public-items.txt")) {
        let name = items.path.parent().and_then(Path::file_name).unwrap().to_string_lossy().into_owned();
        let documented = |predicate: &str| {
            let is_row =
                |line: &str| line.starts_with(&format!("| {name} |")) && line.contains(&format!("`{predicate}`"));
            page.lines().any(is_row)
        };
        let predicates = items.text.lines().filter_map(|line| line.split_once("Error method.is_"));
        let predicates =
            predicates.filter(|(kind, _)| kind.contains("struct.")).filter_map(|(_, rest)| rest.split(':').next());
        let predicates = predicates.map(|rest| format!("is_{rest}"));
        missing.extend(predicates.filter(|it| !documented(it)).map(|it| format!("errors.md lacks {it} of {name}")));
    }
    none(&missing);
}

/// Types of other crates that the pages name.
const OTHERS_TYPES: [&str; 1] = ["PgConnectOptions"];

/// A page that names a method, a variant or a field of a type, as in `Type::member`, names one that there is.
#[test]
fn members_of_types_that_pages_name_exist() {
    let items = files("txt").into_iter().filter(|file| file.path.ends_with("public-items.txt"));
    let texts: Vec<_> = items.map(|file| file.text).collect();
    let known = members(texts.iter().flat_map(|text| text.lines()));

    let mut faults = Vec::new();
    for page in files("md").into_iter().filter(|file| is_public_page(&file.path)) {
        for (line, text) in page.text.lines().enumerate() {
            for (name, member) in text.split('`').skip(1).step_by(2).filter_map(named) {
                let is_known = known.get(name).is_some_and(|members| member == "default" || members.contains(member));
                if !is_known && !OTHERS_TYPES.contains(&name) {
                    faults.push(page.fault(line + 1, &format!("there is no public {name}::{member}")));
                }
            }
        }
    }
    none(&faults);
}

fn is_public_page(path: &Path) -> bool {
    path == Path::new("README.md") || ["docs", "deploy", "crates"].iter().any(|part| path.starts_with(part))
}

/// Returns the type and the member that code names.
fn named(code: &str) -> Option<(&str, &str)> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let (before, after) = code.split_once("::")?;
    let name = before.rsplit(|c: char| !is_part(c)).next()?;
    let member = after.split(|c: char| !is_part(c)).next()?;
    (name.starts_with(char::is_uppercase) && !member.is_empty()).then_some((name, member))
}

/// Returns the members of each type of the lists, whose lines are such as `a/struct.Type method.name: pub fn name()`.
fn members<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for line in lines {
        let item = line.split(": ").next().unwrap();
        let (path, member) = item.split_once(' ').unwrap_or((item, ""));
        let members = found.entry(path.rsplit('.').next().unwrap()).or_default();
        members.extend(member.split('.').skip(1).step_by(2));
    }
    found
}
