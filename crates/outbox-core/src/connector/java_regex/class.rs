//! Classes of characters, such as `[a-z&&[^x]]`.

use std::fmt::Write as _;

use super::pattern::{LetterCase, Pattern, is_space, literal};
use super::property;

/// The largest nesting depth of classes.
const DEEPEST: usize = 50;

/// Reads a class after its `[`, and returns it in the syntax of fancy-regex.
pub(super) fn read(pattern: &mut Pattern<'_>) -> Result<String, String> {
    read_within(pattern, DEEPEST)
}

/// Reads a class that may contain classes to this depth.
fn read_within(pattern: &mut Pattern<'_>, levels: usize) -> Result<String, String> {
    let Some(levels) = levels.checked_sub(1) else { return Err("classes are nested too deeply".to_owned()) };
    let mut class = String::from("[");

    if pattern.rest.next_if_eq(&'^').is_some() {
        class.push('^');
    }

    let mut is_empty = true;
    loop {
        let Some(c) = pattern.rest.next() else { return Err("a class is not closed".to_owned()) };
        if pattern.flags.has_comments && is_space(c) {
            continue;
        }

        match c {
            ']' if !is_empty => break,
            '[' => class.push_str(&read_within(pattern, levels)?),
            '&' if pattern.rest.peek() == Some(&'&') => {
                while pattern.rest.next_if_eq(&'&').is_some() {}
                if is_empty || pattern.rest.peek() == Some(&']') {
                    return Err("&& has a class on either side".to_owned());
                }
                class.push_str("&&");
            }
            '\\' => escape(pattern, &mut class)?,
            c => single_or_range(pattern, c, &mut class)?,
        }
        is_empty = false;
    }

    class.push(']');
    Ok(class)
}

fn escape(pattern: &mut Pattern<'_>, class: &mut String) -> Result<(), String> {
    match pattern.rest.peek().copied() {
        Some('Q') => {
            pattern.rest.next();
            let quoted = pattern.quotation();
            quoted.into_iter().for_each(|c| push_range(class, c, c, pattern.flags.case));
            Ok(())
        }
        Some('p' | 'P') => {
            class.push_str(&property::read(pattern)?);
            Ok(())
        }
        next => match next.and_then(property::predefined) {
            Some(predefined) => {
                pattern.rest.next();
                _ = write!(class, "[{predefined}]");
                Ok(())
            }
            None => {
                let c = pattern.character()?;
                single_or_range(pattern, c, class)
            }
        },
    }
}

/// Appends a character, or the range that it begins.
fn single_or_range(pattern: &mut Pattern<'_>, first: char, class: &mut String) -> Result<(), String> {
    let mut last = first;
    let mut ahead = pattern.rest.clone();

    // A hyphen before the end, or before a class, is a character.
    if ahead.next() == Some('-') && ahead.peek().is_some_and(|c| !matches!(c, ']' | '[')) {
        pattern.rest.next();
        last = match pattern.rest.next() {
            Some('\\') => pattern.character()?,
            Some(c) => c,
            None => return Err("a class is not closed".to_owned()),
        };
        if last < first {
            return Err(format!("the range {first}-{last} is in the wrong order"));
        }
    }
    push_range(class, first, last, pattern.flags.case);
    Ok(())
}

fn push_range(class: &mut String, first: char, last: char, case: LetterCase) {
    let mut push = |first: char, last: char| {
        class.push_str(&literal(first));
        if last > first {
            class.push('-');
            class.push_str(&literal(last));
        }
    };
    push(first, last);

    if case == LetterCase::Distinct {
        return;
    }

    for (letters, other) in
        [(('a', 'z'), char::to_ascii_uppercase as fn(&char) -> char), (('A', 'Z'), char::to_ascii_lowercase)]
    {
        let (first, last) = (first.max(letters.0), last.min(letters.1));
        if first <= last {
            push(other(&first), other(&last));
        }
    }
}
