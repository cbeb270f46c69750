//! The modules of a crate, as its files declare them. Tests are left out.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::names::{Names, is_punct};
use super::uses::{Import, imports};

/// A file, with its code.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: PathBuf,
    pub(crate) lines: usize,
    /// Without the items that only tests have.
    pub(crate) code: Vec<TokenTree>,
}

/// A module, which has a file to itself or shares that of its parent.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) file: usize,
    pub(crate) parent: Option<usize>,
    pub(crate) children: BTreeMap<String, usize>,
    /// The items that are defined here; whether each is a trait.
    pub(crate) items: BTreeMap<String, bool>,
    pub(crate) imports: Vec<Import>,
    /// The paths of two or more names in the code.
    pub(crate) paths: Vec<Vec<String>>,
    /// The first name of each path in the code, outside of `use`.
    pub(crate) names: BTreeSet<String>,
}

/// The modules of a library or program; the first one is its root.
#[derive(Debug, Default)]
pub(crate) struct Crate {
    pub(crate) modules: Vec<Module>,
    files: Vec<File>,
}

impl Crate {
    /// Reads the crate that begins with a file.
    pub(crate) fn read(root: &Path) -> Self {
        let mut found = Self::default();
        found.read_file(None, root.to_owned());
        found
    }

    /// Returns the crate's files.
    pub(crate) fn files(&self) -> &[File] {
        &self.files
    }

    fn read_file(&mut self, parent: Option<usize>, path: PathBuf) -> usize {
        let text = fs::read_to_string(&path).unwrap();
        let tokens = text.parse::<TokenStream>().unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let tokens: Vec<_> = tokens.into_iter().collect();
        let file = self.files.len();
        self.files.push(File { path, lines: text.lines().count(), code: Vec::new() });
        self.read_module(parent, file, &tokens)
    }

    fn read_module(&mut self, parent: Option<usize>, file: usize, tokens: &[TokenTree]) -> usize {
        let index = self.modules.len();
        self.modules.push(Module {
            file,
            parent,
            children: BTreeMap::new(),
            items: BTreeMap::new(),
            imports: Vec::new(),
            paths: Vec::new(),
            names: BTreeSet::new(),
        });

        let mut rest = tokens;
        while let Some(item) = Item::take(&mut rest) {
            if !item.is_test {
                self.read_item(index, &item);
            }
        }
        index
    }

    fn read_item(&mut self, index: usize, item: &Item<'_>) {
        let module = &mut self.modules[index];
        let file = module.file;

        match item.keyword().as_str() {
            "use" => module.imports.extend(imports(&item.tokens[1..], item.is_visible)),
            "mod" => {
                let name = item.tokens[1].to_string();
                let child = match item.tokens.get(2) {
                    Some(TokenTree::Group(body)) => {
                        let body: Vec<_> = body.stream().into_iter().collect();
                        return self.add(index, name, |this| this.read_module(Some(index), file, &body));
                    }
                    _ => self.child_file(index, &name),
                };
                return self.add(index, name, |this| this.read_file(Some(index), child));
            }
            keyword => {
                if let Some(name) = item.defined() {
                    module.items.insert(name, keyword == "trait");
                }
                let found = Names::of(item.tokens);
                module.paths.extend(found.paths);
                module.names.extend(found.first);
            }
        }
        self.files[file].code.extend(item.all.iter().cloned());
    }

    fn add(&mut self, parent: usize, name: String, child: impl FnOnce(&mut Self) -> usize) {
        let child = child(self);
        self.modules[parent].children.insert(name, child);
    }

    /// Returns the file of a module that is declared in another one.
    fn child_file(&self, parent: usize, name: &str) -> PathBuf {
        let path = &self.files[self.modules[parent].file].path;
        let is_folder = ["lib.rs", "main.rs", "mod.rs"].iter().any(|it| path.ends_with(it));
        let directory = if is_folder { path.with_file_name("") } else { path.with_extension("") };
        let single = directory.join(format!("{name}.rs"));
        if single.exists() { single } else { directory.join(name).join("mod.rs") }
    }
}

/// An item at the level of a module.
#[derive(Debug)]
struct Item<'a> {
    /// From the visibility on.
    all: &'a [TokenTree],
    /// From the keyword on.
    tokens: &'a [TokenTree],
    is_test: bool,
    /// Whether it begins with `pub`, restricted or not.
    is_visible: bool,
}

impl<'a> Item<'a> {
    /// Takes the next item off the tokens.
    fn take(tokens: &mut &'a [TokenTree]) -> Option<Self> {
        let mut is_test = false;
        while tokens.first().is_some_and(|token| is_punct(token, '#')) {
            let inner = usize::from(is_punct(&tokens[1], '!'));
            is_test |= is_for_tests(&tokens[1 + inner]);
            *tokens = &tokens[2 + inner..];
        }
        let all = *tokens;
        let is_visible = all.first()?.to_string() == "pub";
        let is_restricted =
            is_visible && matches!(&all[1], TokenTree::Group(it) if it.delimiter() == Delimiter::Parenthesis);
        let start = usize::from(is_visible) + usize::from(is_restricted);

        let to_semicolon = ["use", "const", "static", "type"].contains(&all[start].to_string().as_str());
        let is_function = all[start..].iter().take(4).any(|token| token.to_string() == "fn");
        let is_end = |token: &TokenTree| match token {
            TokenTree::Group(group) => group.delimiter() == Delimiter::Brace && (!to_semicolon || is_function),
            token => is_punct(token, ';'),
        };
        let end = all.iter().position(is_end).map_or(all.len(), |at| at + 1);
        *tokens = &all[end..];
        Some(Self { all: &all[..end], tokens: &all[start..end], is_test, is_visible })
    }

    /// Returns the word that says what the item is.
    fn keyword(&self) -> String {
        let words = self.tokens.iter().map(ToString::to_string);
        let qualifiers = ["async", "const", "default", "unsafe"];
        let is_function = self.tokens.iter().take(4).any(|token| token.to_string() == "fn");
        words.into_iter().find(|word| !is_function || !qualifiers.contains(&word.as_str())).unwrap_or_default()
    }

    /// Returns the name of the item, if it defines one.
    fn defined(&self) -> Option<String> {
        let keyword = self.keyword();
        let mut words = self.tokens.iter().map(ToString::to_string).skip_while(|word| *word != keyword).skip(1);
        match keyword.as_str() {
            "const" | "enum" | "fn" | "static" | "struct" | "trait" | "type" => words.next(),
            "macro_rules" => words.nth(1),
            _ => None,
        }
    }
}

/// Returns whether an attribute says that its item is of tests only.
fn is_for_tests(attribute: &TokenTree) -> bool {
    let text = attribute.to_string().replace(' ', "");
    ["[test]", "[tokio::test", "[cfg(test)]", "[cfg(all(test"].iter().any(|start| text.starts_with(start))
}
