//! Translates an expression of Java into the syntax of fancy-regex.

use std::fmt::Write as _;

use super::pattern::{Flags, LetterCase, Pattern, is_space, literal};
use super::{class, property};

/// Java's line terminators, within a class.
const LINE_ENDS: &str = r"\n\r\x{85}\x{2028}\x{2029}";
const WORD: &str = "[0-9A-Z_a-z]";

/// An expression that is read from its beginning to its end.
pub(super) struct Translation<'a> {
    pattern: Pattern<'a>,
    /// The flags before each group that is open.
    outer: Vec<Flags>,
    out: String,
    /// The beginning of each open group, and of the last atom, in `out`.
    open: Vec<usize>,
    atom: Option<usize>,
    groups: Vec<Option<String>>,
}

impl<'a> Translation<'a> {
    pub(super) fn of(pattern: &'a str, case: LetterCase) -> Result<String, String> {
        let mut translation = Self {
            pattern: Pattern::new(pattern, case),
            outer: Vec::new(),
            out: String::with_capacity(pattern.len() * 2),
            open: Vec::new(),
            atom: None,
            groups: Vec::new(),
        };
        while let Some(c) = translation.pattern.rest.next() {
            translation.token(c)?;
        }
        match translation.open.is_empty() {
            true => Ok(translation.out),
            false => Err("a group is not closed".to_owned()),
        }
    }

    fn token(&mut self, c: char) -> Result<(), String> {
        match c {
            c if self.pattern.flags.has_comments && is_space(c) => {}
            '#' if self.pattern.flags.has_comments => {
                while self.pattern.rest.next_if(|c| !matches!(c, '\n' | '\r')).is_some() {}
            }
            '\\' => self.escape()?,
            '[' => {
                let class = class::read(&mut self.pattern)?;
                self.push_atom(&class);
            }
            '(' => self.group()?,
            ')' => {
                let begin = self.open.pop().ok_or("a parenthesis is closed that was not opened")?;
                self.pattern.flags = self.outer.pop().unwrap_or(self.pattern.flags);
                self.out.push(')');
                self.atom = Some(begin);
            }
            '|' => {
                self.out.push('|');
                self.atom = None;
            }
            '.' if self.pattern.flags.dot_is_all => self.push_atom(r"[\x{0}-\x{10FFFF}]"),
            '.' => self.push_atom(&format!("[^{LINE_ENDS}]")),
            '^' => self.push_atom(r"(?:\A)"),
            '$' => self.push_atom(&at_end()),
            '*' | '+' | '?' | '{' => self.quantifier(c)?,
            other => self.push_literal(other),
        }
        Ok(())
    }

    fn push_atom(&mut self, atom: &str) {
        self.atom = Some(self.out.len());
        self.out.push_str(atom);
    }

    fn push_literal(&mut self, c: char) {
        let atom = match (self.pattern.flags.case, c.is_ascii_alphabetic()) {
            (LetterCase::Ignored, true) => format!("[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase()),
            _ => literal(c),
        };
        self.push_atom(&atom);
    }

    fn quantifier(&mut self, c: char) -> Result<(), String> {
        let Some(begin) = self.atom.take() else { return Err(format!("there is nothing before {c} to repeat")) };
        self.out.push(c);
        if c == '{' {
            let is_part = |c: &char| c.is_ascii_digit() || *c == ',';
            let times: String = std::iter::from_fn(|| self.pattern.rest.next_if(is_part)).collect();
            let is_counted = times.starts_with(|c: char| c.is_ascii_digit()) && times.matches(',').count() <= 1;
            if !is_counted || self.pattern.rest.next_if_eq(&'}').is_none() {
                return Err("a { is not followed by a number of repetitions: write \\{ for the character".to_owned());
            }
            self.out.push_str(&times);
            self.out.push('}');
        }

        if self.pattern.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        } else if self.pattern.rest.next_if_eq(&'+').is_some() {
            self.out.insert_str(begin, "(?>");
            self.out.push(')');
        }
        Ok(())
    }

    /// Translates the beginning of a group, or inline flags, after a parenthesis.
    fn group(&mut self) -> Result<(), String> {
        let flags = self.pattern.flags;
        let begin = self.out.len();

        if self.pattern.rest.next_if_eq(&'?').is_none() {
            self.groups.push(None);
            self.out.push('(');
        } else {
            match self.pattern.rest.next() {
                Some(c @ (':' | '=' | '!' | '>')) => {
                    self.out.push_str("(?");
                    self.out.push(c);
                }
                Some('<') => match self.pattern.rest.next_if(|c| matches!(c, '=' | '!')) {
                    Some(c) => {
                        self.out.push_str("(?<");
                        self.out.push(c);
                    }
                    None => {
                        let name = self.group_name()?;
                        if self.groups.iter().flatten().any(|known| *known == name) {
                            return Err(format!("two groups have the name {name}"));
                        }
                        _ = write!(self.out, "(?<{name}>");
                        self.groups.push(Some(name));
                    }
                },
                first => {
                    let is_scoped = self.set_flags(first)?;
                    if !is_scoped {
                        self.atom = None;
                        return Ok(());
                    }
                    self.out.push_str("(?:");
                }
            }
        }

        self.open.push(begin);
        self.outer.push(flags);
        self.atom = None;
        Ok(())
    }

    /// Reads the rest of a group's name, with its `>`.
    fn group_name(&mut self) -> Result<String, String> {
        let mut name = String::new();
        while let Some(c) = self.pattern.rest.next_if(char::is_ascii_alphanumeric) {
            name.push(c);
        }
        let is_name =
            name.starts_with(|c: char| c.is_ascii_alphabetic()) && self.pattern.rest.next_if_eq(&'>').is_some();
        is_name.then_some(name).ok_or_else(|| "a group's name has letters and digits, and ends with >".to_owned())
    }

    /// Reads flags such as `i-s`; returns whether they are those of a group.
    fn set_flags(&mut self, first: Option<char>) -> Result<bool, String> {
        let (mut next, mut is_set) = (first, true);
        loop {
            match next {
                Some('i') => self.pattern.flags.case = if is_set { LetterCase::Ignored } else { LetterCase::Distinct },
                Some('s') => self.pattern.flags.dot_is_all = is_set,
                Some('x') => self.pattern.flags.has_comments = is_set,
                Some('-') if is_set => is_set = false,
                Some(':') => return Ok(true),
                Some(')') => return Ok(false),
                Some(c @ ('d' | 'm' | 'u' | 'U')) => return Err(format!("the flag {c} is not modelled")),
                _ => return Err("a (? is followed by nothing that Java knows".to_owned()),
            }
            next = self.pattern.rest.next();
        }
    }

    /// Translates an escape sequence, after its backslash.
    fn escape(&mut self) -> Result<(), String> {
        let Some(c) = self.pattern.rest.peek().copied() else {
            return Err("a backslash has nothing behind it".to_owned());
        };

        if let Some(class) = property::predefined(c) {
            self.pattern.rest.next();
            self.push_atom(&format!("[{class}]"));
            return Ok(());
        }

        match c {
            'Q' => {
                self.pattern.rest.next();
                self.pattern.quotation().into_iter().for_each(|c| self.push_literal(c));
            }
            'A' | 'G' => self.simple(r"(?:\A)"),
            'z' => self.simple(r"(?:\z)"),
            'Z' => self.simple(&at_end()),
            'b' => {
                self.pattern.rest.next();
                if self.pattern.rest.peek() == Some(&'{') {
                    return Err("\\b{g} is not modelled".to_owned());
                }
                self.push_atom(&format!("(?:(?<={WORD})(?!{WORD})|(?<!{WORD})(?={WORD}))"));
            }
            'B' => self.simple(&format!("(?:(?<={WORD})(?={WORD})|(?<!{WORD})(?!{WORD}))")),
            'R' => self.simple(r"(?:\r\n|[\n\x0B\x0C\r\x{85}\x{2028}\x{2029}])"),
            '1'..='9' => self.numbered_reference()?,
            'k' => {
                self.pattern.rest.next();
                if self.pattern.rest.next_if_eq(&'<').is_none() {
                    return Err("\\k is followed by <NAME>".to_owned());
                }
                let name = self.group_name()?;
                let number = self.groups.iter().position(|known| known.as_deref() == Some(&name));
                self.push_reference(number.ok_or_else(|| format!("there is no group {name} before \\k<{name}>"))? + 1);
            }
            'p' | 'P' => {
                let property = property::read(&mut self.pattern)?;
                self.push_atom(&format!("[{property}]"));
            }
            _ => {
                let c = self.pattern.character()?;
                self.push_literal(c);
            }
        }
        Ok(())
    }

    fn simple(&mut self, atom: &str) {
        self.pattern.rest.next();
        self.push_atom(atom);
    }

    /// Reads the longest run of digits that names a group.
    fn numbered_reference(&mut self) -> Result<(), String> {
        let mut group = 0;
        while let Some(digit) = self.pattern.rest.peek().and_then(|c| c.to_digit(10)) {
            let longer = group * 10 + digit as usize;
            if group > 0 && longer > self.groups.len() {
                break;
            }
            group = longer;
            self.pattern.rest.next();
        }

        if group > self.groups.len() {
            return Err(format!("there is no group {group} before \\{group}"));
        }
        self.push_reference(group);
        Ok(())
    }

    fn push_reference(&mut self, group: usize) {
        let ignores_case = self.pattern.flags.case == LetterCase::Ignored;
        self.push_atom(&format!("(?{}:\\{group})", if ignores_case { "i" } else { "" }));
    }
}

/// Returns an expression that matches at the end, or before a line terminator at the end.
fn at_end() -> String {
    format!(r"(?=(?:\r\n|[{LINE_ENDS}])?\z)")
}
