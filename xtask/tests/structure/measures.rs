//! The number of definitions of a file, and of its items that only its neighbours may see.

use std::collections::BTreeMap;
use std::fmt;

use proc_macro2::{Delimiter, TokenTree};

use super::modules::File;
use super::names::is_punct;

/// Definitions of ten files, at least.
const LEAST_DEFINITIONS: usize = 100;
/// Restricted marks of a thousand lines, at most.
const MOST_MARKS: usize = 40;
/// A limit that is looser than this must be tightened.
const SLACK: usize = 5;

/// The measures of a crate. Items of tests do not count, but their lines do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Measures {
    pub(crate) files: usize,
    lines: usize,
    /// Functions, methods, types, traits, constants, macros.
    definitions: usize,
    /// `pub(crate)`, `pub(super)`, `pub(in …)`.
    marks: usize,
}

/// The least definitions of ten files and the most marks of a thousand lines, for each crate of `limits.txt`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Limits(BTreeMap<String, (usize, usize)>);

impl Measures {
    /// Measures files.
    pub(crate) fn of<'a>(files: impl Iterator<Item = &'a File>) -> Self {
        let mut found = Self::default();
        for file in files {
            found.files += 1;
            found.lines += file.lines;
            found.count(&file.code);
        }
        found
    }

    fn count(&mut self, tokens: &[TokenTree]) {
        for (at, token) in tokens.iter().enumerate() {
            let next = tokens.get(at + 1);
            match token {
                TokenTree::Group(group) => self.count(&group.stream().into_iter().collect::<Vec<_>>()),
                TokenTree::Ident(word) if word == "pub" => {
                    let is_mark =
                        |it: &TokenTree| matches!(it, TokenTree::Group(it) if it.delimiter() == Delimiter::Parenthesis);
                    self.marks += usize::from(next.is_some_and(is_mark));
                }
                TokenTree::Ident(word) => {
                    let is_lifetime = at.checked_sub(1).is_some_and(|before| is_punct(&tokens[before], '\''));
                    let is_defined = defines(&word.to_string()) && !is_lifetime && next.is_some_and(is_name);
                    self.definitions += usize::from(is_defined || word == "macro_rules");
                }
                _ => {}
            }
        }
    }

    /// Returns the definitions of ten files.
    fn density(&self) -> usize {
        10 * self.definitions / self.files.max(1)
    }

    /// Returns the marks of a thousand lines.
    fn restriction(&self) -> usize {
        1000 * self.marks / self.lines.max(1)
    }
}

impl Limits {
    /// Reads the list: `crate definitions marks`.
    pub(crate) fn parse(text: &str) -> Self {
        let limits = text.lines().filter(|line| !line.is_empty()).map(|line| {
            let mut fields = line.split(' ');
            let name = fields.next().unwrap().to_owned();
            let mut number = || fields.next().unwrap().parse().unwrap();
            (name, (number(), number()))
        });
        Self(limits.collect())
    }

    /// Returns the crates that miss their limits, and the limits that must be tightened.
    pub(crate) fn faults(&self, found: &BTreeMap<String, Measures>) -> Vec<String> {
        let mut faults = Vec::new();
        for (name, measures) in found {
            let (least, most) = self.of(name);
            let (density, restriction) = (measures.density(), measures.restriction());
            if density < least {
                faults.push(format!(
                    "{name} has {density} definitions in ten files, {least} at least: join files that have one concept"
                ));
            }

            if restriction > most {
                faults.push(format!(
                    "{name} has {restriction} `pub(…)` in a thousand lines, {most} at most: keep items in the file that \
                     uses them"
                ));
            }

            let is_loose = least + SLACK < density.min(LEAST_DEFINITIONS) || most > restriction.max(MOST_MARKS) + SLACK;
            if is_loose {
                faults.push(format!("{name} is better than limits.txt: run the test with UPDATE_STRUCTURE=1"));
            }
        }
        faults
    }

    /// Returns the limits with those tightened that are better kept than they are.
    pub(crate) fn shrunk(&self, found: &BTreeMap<String, Measures>) -> Self {
        let tightened = found.iter().map(|(name, measures)| {
            let (least, most) = self.of(name);
            let least = least.max(measures.density().min(LEAST_DEFINITIONS));
            (name.clone(), (least, most.min(measures.restriction().max(MOST_MARKS))))
        });
        Self(tightened.filter(|(_, limits)| *limits != (LEAST_DEFINITIONS, MOST_MARKS)).collect())
    }

    fn of(&self, name: &str) -> (usize, usize) {
        self.0.get(name).copied().unwrap_or((LEAST_DEFINITIONS, MOST_MARKS))
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, (least, most))| writeln!(f, "{name} {least} {most}"))
    }
}

fn defines(word: &str) -> bool {
    ["const", "enum", "fn", "static", "struct", "trait", "type"].contains(&word)
}

/// Returns whether a token is the name of a definition, and not the next word of `const fn`.
fn is_name(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Ident(word) if !["async", "extern", "fn", "mut", "unsafe"].iter().any(|it| word == it))
}
