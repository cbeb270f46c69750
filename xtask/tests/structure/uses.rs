//! `use` declarations.

use proc_macro2::TokenTree;

use super::names::is_punct;

/// One name that a `use` brings in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Import {
    pub(crate) path: Vec<String>,
    /// The name in this module; `*` for all of the path's.
    pub(crate) name: String,
    /// Whether it is passed on with `pub`, restricted or not.
    pub(crate) is_visible: bool,
}

/// Returns the names of a `use`, given the tokens after the word.
pub(crate) fn imports(tokens: &[TokenTree], is_visible: bool) -> Vec<Import> {
    let mut found = Vec::new();
    read(tokens, &[], is_visible, &mut found);
    found
}

/// Reads paths that commas separate, below a path.
fn read(tokens: &[TokenTree], parent: &[String], is_visible: bool, found: &mut Vec<Import>) {
    for tree in tokens.split(|token| is_punct(token, ',') || is_punct(token, ';')) {
        let (mut path, mut name, mut is_renamed) = (parent.to_vec(), None, false);
        for token in tree {
            match token {
                TokenTree::Group(group) => {
                    read(&group.stream().into_iter().collect::<Vec<_>>(), &path, is_visible, found);
                    path.clear();
                    break;
                }
                TokenTree::Ident(word) if word == "as" => is_renamed = true,
                TokenTree::Ident(word) if is_renamed => name = Some(word.to_string()),
                TokenTree::Ident(word) => path.push(word.to_string()),
                token if is_punct(token, '*') => name = Some("*".to_owned()),
                _ => {}
            }
        }

        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }

        if let Some(last) = path.last() {
            found.push(Import { name: name.unwrap_or_else(|| last.clone()), path, is_visible });
        }
    }
}

#[test]
fn each_name_of_a_tree_is_read() {
    let tokens: Vec<_> =
        "a::{self, b::{C, D as E}, f::*};".parse::<proc_macro2::TokenStream>().unwrap().into_iter().collect();
    let read: Vec<_> = imports(&tokens, true).iter().map(|it| (it.path.join("::"), it.name.clone())).collect();
    let expected = [("a", "a"), ("a::b::C", "C"), ("a::b::D", "E"), ("a::f", "*")];
    assert_eq!(read, expected.map(|(path, name)| (path.to_owned(), name.to_owned())));
}
