//! Nothing becomes public by accident: each crate's public items, with the signatures of functions and the types of
//! fields, are in its file `public-items.txt`.
//!
//! `UPDATE_PUBLIC_ITEMS=1 cargo test -p xtask --test public_items` writes the files again; the change is then part of
//! the review.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const CRATES: [&str; 10] = [
    "outbox-core",
    "outbox-derive",
    "outbox-net",
    "outbox-pg",
    "outbox-kafka",
    "outbox-kafka-consumer",
    "outbox-wal",
    "outbox-relay",
    "outbox-sqlx",
    "outbox-testkit",
];

#[test]
fn the_public_items_of_each_crate_are_those_of_its_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for name in CRATES {
        let found = items(&documentation(name)).into_iter().map(|item| item + "\n").collect::<String>();
        let file = root.join("crates").join(name).join("public-items.txt");
        if std::env::var_os("UPDATE_PUBLIC_ITEMS").is_some() {
            fs::write(&file, &found).unwrap();
        }

        let expected = fs::read_to_string(&file).unwrap();
        let (found, expected): (BTreeSet<_>, BTreeSet<_>) = (found.lines().collect(), expected.lines().collect());
        let more: Vec<_> = found.difference(&expected).collect();
        let less: Vec<_> = expected.difference(&found).collect();
        assert!(
            more.is_empty() && less.is_empty(),
            "{name} has {more:#?} more and {less:#?} less than {}",
            file.display()
        );
    }
}

/// Returns what rustdoc makes of a crate. Its JSON would be nicer, and is not stable.
fn documentation(name: &str) -> PathBuf {
    // If only this package was built, the dependencies of the others may have to be fetched first.
    cargo(&["doc", "--no-deps", "--all-features", "--locked", "--package", name]);
    let metadata = cargo(&["metadata", "--format-version=1", "--no-deps", "--offline"]);
    let metadata: serde_json::Value = serde_json::from_slice(&metadata).unwrap();
    Path::new(metadata["target_directory"].as_str().unwrap()).join("doc").join(name.replace('-', "_"))
}

/// Returns what cargo prints. Panics with what it writes to standard error if it fails.
fn cargo(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(env!("CARGO")).args(arguments).output().unwrap();
    assert!(output.status.success(), "cargo {arguments:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Returns lines such as `struct.Error`, `struct.Error method.is_transient: pub fn is_transient(&self) -> bool`,
/// `reexport.uuid`, sorted.
fn items(documentation: &Path) -> BTreeSet<String> {
    let read = |page: &str| {
        fs::read_to_string(documentation.join(page))
            .unwrap_or_else(|error| panic!("{page} of {}: {error}", documentation.display()))
    };
    let mut items: BTreeSet<_> = ids(&read("index.html")).filter(|id| id.starts_with("reexport.")).collect();

    for page in read("all.html").split("<li><a href=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        // The page's own table of contents is of links within it.
        let Some(item) = page.strip_suffix(".html").map(str::to_owned) else { continue };
        let text = read(page);
        // What follows is of traits, of every type, or of the type that it dereferences to.
        let ends = ["id=\"deref-methods", "id=\"trait-implementations\"", "id=\"synthetic-implementations\""];
        let end = ends.iter().filter_map(|end| text.find(end)).min().unwrap_or(text.len());
        let members = ["method.", "tymethod.", "variant.", "structfield.", "associatedconstant.", "associatedtype."];
        let own = declarations(&text[..end]).filter(|(id, _)| members.iter().any(|member| id.starts_with(member)));

        // Methods of one name, of a type with different parameters, are numbered.
        let unnumbered = |id: &str| match id.split_once('-') {
            Some((method, _)) if method.starts_with("method.") => method.to_owned(),
            _ => id.to_owned(),
        };
        items.extend(own.map(|(id, declaration)| format!("{item} {}: {declaration}", unnumbered(id))));
        let declaration = text[..end].split_once("<pre class=\"rust item-decl\">").map(|(_, rest)| rest);
        let is_short =
            ["fn.", "type.", "constant.", "macro.", "attr.", "derive."].iter().any(|kind| item.contains(kind));

        match declaration.and_then(|rest| rest.split_once("</pre>")).filter(|_| is_short) {
            Some((declaration, _)) => items.insert(format!("{item}: {}", text_of(declaration))),
            None => items.insert(item),
        };
    }
    items
}

/// Returns the ids of a page with the declaration that follows each.
fn declarations(page: &str) -> impl Iterator<Item = (&str, String)> {
    page.split("id=\"").skip(1).filter_map(|rest| {
        let (id, rest) = rest.split_once('"')?;
        let begins = [("code-header\">", "</h"), ("<code>", "</code>")];
        let (at, ends) = begins.iter().filter_map(|(begin, end)| Some((rest.find(begin)? + begin.len(), end))).min()?;
        let declaration = &rest[at..];
        Some((id, text_of(&declaration[..declaration.find(ends)?])))
    })
}

/// Returns the text of a piece of HTML, in one line.
fn text_of(html: &str) -> String {
    let text: String = html
        .split('<')
        .enumerate()
        .map(|(n, piece)| match piece.split_once('>') {
            Some((_, text)) if n > 0 => text,
            _ => piece,
        })
        .collect();
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace("&#39;", "'");
    text.replace("&quot;", "\"").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn ids(page: &str) -> impl Iterator<Item = String> {
    page.split("id=\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned)
}
