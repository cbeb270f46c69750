//! The rules of CONTRIBUTING.md for language and size that a program can check, and the links of the documentation.
#![allow(clippy::unwrap_used, missing_docs)]

mod book;
mod commands;
mod comments;
mod links;
mod markdown;
mod paragraphs;
mod prose;
mod workspace;

use std::fmt::Write as _;

use self::comments::{comment_lines, documentation_blocks, documented_functions, literals, log_messages};
use self::markdown::Page;
use self::paragraphs::functions_without_paragraphs;
use self::workspace::{SourceFile, files};

/// The verbs that a function's documentation may begin with; add one that is missing.
const VERBS: &str = include_str!("verbs.txt");
/// Phrases that are not used, each with what to write in its place.
const BANNED: &str = include_str!("banned.txt");

/// Names that a log message may begin with.
const PROPER_NAMES: [&str; 3] = ["Debezium", "Kafka", "PostgreSQL"];
/// Words that a clause in place of a noun begins with.
const CLAUSES: [&str; 4] = ["What", "Whatever", "Where", "Whoever"];
/// More such words, which may begin a sentence, but not the documentation of an item.
const DOCUMENTATION_CLAUSES: [&str; 3] = ["How", "Who", "Why"];

const MAX_FILE_LINES: usize = 499;
const MAX_MARKDOWN_WIDTH: usize = 100;
const MAX_SENTENCE_WORDS: usize = 40;

#[test]
fn documentation_of_a_function_begins_with_a_verb() {
    let mut faults = Vec::new();
    for file in files("rs") {
        for function in documented_functions(&file.text) {
            let first = function.text.split([' ', '.', ',', ':', ';']).next().unwrap_or_default();
            if !VERBS.lines().any(|verb| verb == first) {
                faults.push(file.fault(function.line, &format!("{:?} is not in verbs.txt", function.text)));
            }
        }
    }
    none(&faults);
}

#[test]
fn documentation_begins_with_no_clause_in_place_of_a_noun() {
    let mut faults = Vec::new();
    for file in files("rs") {
        for documentation in documentation_blocks(&file.text) {
            let first = documentation.text.split_whitespace().next().unwrap_or_default();
            if CLAUSES.contains(&first) || DOCUMENTATION_CLAUSES.contains(&first) {
                faults.push(file.fault(documentation.line, &format!("begins with {first}: {:?}", documentation.text)));
            }
        }
    }
    none(&faults);
}

#[test]
fn banned_phrases_are_not_used() {
    let banned: Vec<_> = BANNED.lines().map(|line| line.split_once(" -> ").unwrap()).collect();
    let mut faults = Vec::new();
    let mut check = |file: &SourceFile, line: usize, text: &str| {
        let words = prose::words(text);
        for (phrase, instead) in &banned {
            if prose::contains(&words, phrase) {
                faults.push(file.fault(line, &format!("{phrase:?}: write {instead}")));
            }
        }
    };

    for file in files("rs") {
        comment_lines(&file.text).for_each(|(line, text)| check(&file, line, text));
        if file.is_source() {
            literals(&file.text).iter().for_each(|(line, text)| check(&file, *line, text));
        }
    }

    for file in files("md") {
        for paragraph in Page::new(&file.text).paragraphs() {
            check(&file, paragraph.line, &paragraph.text);
        }
    }
    none(&faults);
}

#[test]
fn log_messages_begin_with_their_subject() {
    let mut faults = Vec::new();
    for file in files("rs").iter().filter(|file| file.is_source()) {
        for (line, message) in log_messages(&file.text) {
            let first = message.split(' ').next().unwrap_or_default();
            let is_word = first.chars().nth(1).is_some_and(char::is_lowercase);
            let is_sentence = is_word && first.starts_with(char::is_uppercase) && !PROPER_NAMES.contains(&first);
            if is_sentence || ["a", "an", "it", "the", "there", "this"].contains(&first) || message.ends_with('.') {
                faults.push(file.fault(line, &message));
            }
        }
    }
    none(&faults);
}

#[test]
fn markdown_is_wrapped() {
    let mut faults = Vec::new();
    for file in files("md").into_iter().filter(SourceFile::is_wrapped) {
        for (line, text) in Page::new(&file.text).prose_lines() {
            let width = text.chars().count();
            if width > MAX_MARKDOWN_WIDTH && text.trim_start().contains(' ') {
                faults.push(file.fault(line, &format!("{width} columns, {MAX_MARKDOWN_WIDTH} at most")));
            }
        }
    }
    none(&faults);
}

#[test]
fn sentences_of_the_documentation_are_short() {
    let mut faults = Vec::new();
    for file in files("md").into_iter().filter(|file| file.path.starts_with("docs") || file.is("README.md")) {
        for paragraph in Page::new(&file.text).paragraphs() {
            for sentence in prose::sentences(&paragraph.text) {
                let words = sentence.split_whitespace().count();
                if words > MAX_SENTENCE_WORDS {
                    faults.push(file.fault(paragraph.line, &format!("{words} words: {sentence}")));
                }
            }
        }
    }
    none(&faults);
}

#[test]
fn sentences_begin_with_no_clause_in_place_of_a_noun() {
    let mut faults = Vec::new();
    for file in files("md").into_iter().filter(SourceFile::is_wrapped) {
        for paragraph in Page::new(&file.text).paragraphs() {
            let text = paragraph.text.trim_start_matches(['-', ' ', '*']);
            let is_prose = !text.starts_with(['|', '#']);
            for sentence in prose::sentences(text).iter().filter(|sentence| is_prose && !sentence.ends_with(['?', '*']))
            {
                if CLAUSES.contains(&sentence.split(' ').next().unwrap_or_default()) {
                    faults.push(file.fault(paragraph.line, sentence));
                }
            }
        }
    }
    none(&faults);
}

#[test]
fn long_functions_have_paragraphs() {
    let mut faults = Vec::new();
    for file in files("rs") {
        for line in functions_without_paragraphs(&file.text) {
            faults.push(file.fault(line, "put a blank line between the steps of this function"));
        }
    }
    none(&faults);
}

#[test]
fn files_are_short() {
    let mut faults = Vec::new();
    for file in files("rs").into_iter().chain(files("md")).filter(|file| !file.is("CHANGELOG.md")) {
        let lines = file.text.lines().count();
        if lines > MAX_FILE_LINES {
            faults.push(file.fault(lines, &format!("{lines} lines, {MAX_FILE_LINES} at most")));
        }
    }
    none(&faults);
}

#[test]
fn readme_is_short() {
    let readme = files("md").into_iter().find(|file| file.is("README.md")).unwrap();
    assert!(readme.text.lines().count() <= 150, "README.md has {} lines", readme.text.lines().count());
}

/// Panics with the faults, one a line, if there are any.
fn none(faults: &[String]) {
    let mut list = String::new();
    for fault in faults {
        _ = write!(list, "\n{fault}");
    }
    assert!(faults.is_empty(), "{} faults:{list}", faults.len());
}
