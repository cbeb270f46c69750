//! The names that code uses.

use std::collections::BTreeSet;

use proc_macro2::{Spacing, TokenTree};

use super::uses::imports;

/// The names in a piece of code.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// The paths of two or more names.
    pub(crate) paths: Vec<Vec<String>>,
    /// The first name of each path.
    pub(crate) first: BTreeSet<String>,
}

impl Names {
    /// Finds the names in tokens, at any depth.
    pub(crate) fn of(tokens: &[TokenTree]) -> Self {
        let mut found = Self::default();
        found.read(tokens);
        found
    }

    fn read(&mut self, tokens: &[TokenTree]) {
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token {
                TokenTree::Group(group) => self.read(&group.stream().into_iter().collect::<Vec<_>>()),
                // A lifetime.
                TokenTree::Punct(punct) if punct.as_char() == '\'' => at += 1,
                TokenTree::Ident(word) if word == "use" && !tokens.get(at).is_some_and(|it| is_punct(it, '<')) => {
                    let end = tokens[at..].iter().position(|it| is_punct(it, ';')).map_or(tokens.len(), |end| at + end);
                    self.paths.extend(imports(&tokens[at..end], false).into_iter().map(|import| import.path));
                    at = end;
                }
                TokenTree::Ident(_) => at = self.read_path(tokens, at - 1),
                TokenTree::Literal(literal) => self.read_format(&literal.to_string()),
                _ => {}
            }
        }
    }

    /// Reads the names that a text would format: `{NAME}`.
    fn read_format(&mut self, text: &str) {
        for rest in text.split('{').skip(1) {
            let end = rest.find(|c: char| c != '_' && !c.is_alphanumeric()).unwrap_or(rest.len());
            self.first.insert(rest[..end].to_owned());
        }
    }

    /// Reads the path that begins at a token, and returns where it ends.
    fn read_path(&mut self, tokens: &[TokenTree], start: usize) -> usize {
        let mut path = vec![tokens[start].to_string()];
        let mut end = start + 1;
        while let (true, Some(TokenTree::Ident(word))) = (is_separator(tokens, end), tokens.get(end + 2)) {
            path.push(word.to_string());
            end += 3;
        }

        if !is_member(tokens, start) {
            self.first.insert(path[0].clone());
            if path.len() > 1 {
                self.paths.push(path);
            }
        }
        end
    }
}

/// Returns whether a token is a punctuation mark.
pub(crate) fn is_punct(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == mark)
}

/// Returns whether `::` is at a place.
fn is_separator(tokens: &[TokenTree], at: usize) -> bool {
    let is_first =
        matches!(tokens.get(at), Some(TokenTree::Punct(it)) if it.as_char() == ':' && it.spacing() == Spacing::Joint);
    is_first && tokens.get(at + 1).is_some_and(|token| is_punct(token, ':'))
}

/// Returns whether the name at a place belongs to what is before it: a method, a field, a part of a path.
fn is_member(tokens: &[TokenTree], at: usize) -> bool {
    let is_dot = |back: usize| at.checked_sub(back).is_some_and(|place| is_punct(&tokens[place], '.'));
    (is_dot(1) && !is_dot(2)) || at.checked_sub(2).is_some_and(|place| is_separator(tokens, place))
}
