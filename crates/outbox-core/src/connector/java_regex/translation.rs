//! Translates an expression of Java into the syntax of fancy-regex.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use super::{LetterCase, class, property};

/// Java's line terminators, within a class.
const LINE_ENDS: &str = r"\n\r\x{85}\x{2028}\x{2029}";
const WORD: &str = "[0-9A-Z_a-z]";

/// An expression that is read from its beginning to its end.
pub(super) struct Translation<'a> {
    pub(super) rest: Peekable<Chars<'a>>,
    pub(super) flags: Flags,
    /// The flags before each group that is open.
    outer: Vec<Flags>,
    out: String,
    /// The beginning of each open group, and of the last atom, in `out`.
    open: Vec<usize>,
    atom: Option<usize>,
    groups: Vec<Option<String>>,
}

#[derive(Clone, Copy)]
pub(super) struct Flags {
    pub(super) case: LetterCase,
    dot_is_all: bool,
    pub(super) has_comments: bool,
}

impl<'a> Translation<'a> {
    pub(super) fn of(pattern: &'a str, case: LetterCase) -> Result<String, String> {
        let mut translation = Self {
            rest: pattern.chars().peekable(),
            flags: Flags { case, dot_is_all: false, has_comments: false },
            outer: Vec::new(),
            out: String::with_capacity(pattern.len() * 2),
            open: Vec::new(),
            atom: None,
            groups: Vec::new(),
        };
        while let Some(c) = translation.rest.next() {
            translation.token(c)?;
        }
        match translation.open.is_empty() {
            true => Ok(translation.out),
            false => Err("a group is not closed".to_owned()),
        }
    }

    fn token(&mut self, c: char) -> Result<(), String> {
        match c {
            c if self.flags.has_comments && is_space(c) => {}
            '#' if self.flags.has_comments => while self.rest.next_if(|c| !matches!(c, '\n' | '\r')).is_some() {},
            '\\' => self.escape()?,
            '[' => {
                let class = class::read(self)?;
                self.push_atom(&class);
            }
            '(' => self.group()?,
            ')' => {
                let begin = self.open.pop().ok_or("a parenthesis is closed that was not opened")?;
                self.flags = self.outer.pop().unwrap_or(self.flags);
                self.out.push(')');
                self.atom = Some(begin);
            }
            '|' => {
                self.out.push('|');
                self.atom = None;
            }
            '.' if self.flags.dot_is_all => self.push_atom(r"[\x{0}-\x{10FFFF}]"),
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
        let atom = match (self.flags.case, c.is_ascii_alphabetic()) {
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
            let times: String = std::iter::from_fn(|| self.rest.next_if(is_part)).collect();
            let is_counted = times.starts_with(|c: char| c.is_ascii_digit()) && times.matches(',').count() <= 1;
            if !is_counted || self.rest.next_if_eq(&'}').is_none() {
                return Err("a { is not followed by a number of repetitions: write \\{ for the character".to_owned());
            }
            self.out.push_str(&times);
            self.out.push('}');
        }

        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        } else if self.rest.next_if_eq(&'+').is_some() {
            self.out.insert_str(begin, "(?>");
            self.out.push(')');
        }
        Ok(())
    }

    fn group(&mut self) -> Result<(), String> {
        let flags = self.flags;
        let begin = self.out.len();
        if self.rest.next_if_eq(&'?').is_none() {
            self.groups.push(None);
            self.out.push('(');
        } else {
            match self.rest.next() {
                Some(c @ (':' | '=' | '!' | '>')) => {
                    self.out.push_str("(?");
                    self.out.push(c);
                }
                Some('<') => match self.rest.next_if(|c| matches!(c, '=' | '!')) {
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
        while let Some(c) = self.rest.next_if(char::is_ascii_alphanumeric) {
            name.push(c);
        }
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic()) && self.rest.next_if_eq(&'>').is_some();
        is_name.then_some(name).ok_or_else(|| "a group's name has letters and digits, and ends with >".to_owned())
    }

    /// Reads flags such as `i-s`; returns whether they are those of a group.
    fn set_flags(&mut self, first: Option<char>) -> Result<bool, String> {
        let (mut next, mut is_set) = (first, true);
        loop {
            match next {
                Some('i') => self.flags.case = if is_set { LetterCase::Ignored } else { LetterCase::Distinct },
                Some('s') => self.flags.dot_is_all = is_set,
                Some('x') => self.flags.has_comments = is_set,
                Some('-') if is_set => is_set = false,
                Some(':') => return Ok(true),
                Some(')') => return Ok(false),
                Some(c @ ('d' | 'm' | 'u' | 'U')) => return Err(format!("the flag {c} is not modelled")),
                _ => return Err("a (? is followed by nothing that Java knows".to_owned()),
            }
            next = self.rest.next();
        }
    }

    fn escape(&mut self) -> Result<(), String> {
        let Some(c) = self.rest.peek().copied() else { return Err("a backslash has nothing behind it".to_owned()) };
        if let Some(class) = property::predefined(c) {
            self.rest.next();
            self.push_atom(&format!("[{class}]"));
            return Ok(());
        }
        match c {
            'Q' => {
                self.rest.next();
                self.quotation().into_iter().for_each(|c| self.push_literal(c));
            }
            'A' | 'G' => self.simple(r"(?:\A)"),
            'z' => self.simple(r"(?:\z)"),
            'Z' => self.simple(&at_end()),
            'b' => {
                self.rest.next();
                if self.rest.peek() == Some(&'{') {
                    return Err("\\b{g} is not modelled".to_owned());
                }
                self.push_atom(&format!("(?:(?<={WORD})(?!{WORD})|(?<!{WORD})(?={WORD}))"));
            }
            'B' => self.simple(&format!("(?:(?<={WORD})(?={WORD})|(?<!{WORD})(?!{WORD}))")),
            'R' => self.simple(r"(?:\r\n|[\n\x0B\x0C\r\x{85}\x{2028}\x{2029}])"),
            '1'..='9' => self.numbered_reference()?,
            'k' => {
                self.rest.next();
                if self.rest.next_if_eq(&'<').is_none() {
                    return Err("\\k is followed by <NAME>".to_owned());
                }
                let name = self.group_name()?;
                let number = self.groups.iter().position(|known| known.as_deref() == Some(&name));
                self.push_reference(number.ok_or_else(|| format!("there is no group {name} before \\k<{name}>"))? + 1);
            }
            'p' | 'P' => {
                let property = property::read(self)?;
                self.push_atom(&format!("[{property}]"));
            }
            _ => {
                let c = self.character()?;
                self.push_literal(c);
            }
        }
        Ok(())
    }

    fn simple(&mut self, atom: &str) {
        self.rest.next();
        self.push_atom(atom);
    }

    /// Reads as many digits as still name a group.
    fn numbered_reference(&mut self) -> Result<(), String> {
        let mut group = 0;
        while let Some(digit) = self.rest.peek().and_then(|c| c.to_digit(10)) {
            let longer = group * 10 + digit as usize;
            if group > 0 && longer > self.groups.len() {
                break;
            }
            group = longer;
            self.rest.next();
        }
        if group > self.groups.len() {
            return Err(format!("there is no group {group} before \\{group}"));
        }
        self.push_reference(group);
        Ok(())
    }

    fn push_reference(&mut self, group: usize) {
        let ignores_case = self.flags.case == LetterCase::Ignored;
        self.push_atom(&format!("(?{}:\\{group})", if ignores_case { "i" } else { "" }));
    }

    /// Reads the text up to `\E`, or to the end.
    pub(super) fn quotation(&mut self) -> Vec<char> {
        let mut quoted = Vec::new();
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                break;
            }
            quoted.push(c);
        }
        quoted
    }

    /// Reads the character that a backslash and what follows it stand for.
    pub(super) fn character(&mut self) -> Result<char, String> {
        let Some(c) = self.rest.next() else { return Err("a backslash has nothing behind it".to_owned()) };
        Ok(match c {
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\x0C',
            'a' => '\x07',
            'e' => '\x1B',
            'c' => match self.rest.next() {
                Some(c) if c.is_ascii() => char::from(u8::try_from(c).unwrap_or_default() ^ 0x40),
                _ => return Err("\\c is followed by a character of ASCII".to_owned()),
            },
            '0' => self.octal()?,
            'x' if self.rest.next_if_eq(&'{').is_some() => {
                let digits: String = std::iter::from_fn(|| self.rest.next_if(char::is_ascii_hexdigit)).collect();
                let is_closed = self.rest.next_if_eq(&'}').is_some();
                let code = u32::from_str_radix(&digits, 16).ok().filter(|_| is_closed);
                code.and_then(char::from_u32).ok_or("\\x{…} is no character")?
            }
            'x' => char::from_u32(self.hexadecimal(2)?).ok_or("\\x is no character")?,
            'u' => self.utf16()?,
            c if c.is_ascii_alphanumeric() => return Err(format!("\\{c} is not modelled")),
            c => c,
        })
    }

    fn hexadecimal(&mut self, digits: usize) -> Result<u32, String> {
        let text: String = (0..digits).filter_map(|_| self.rest.next_if(char::is_ascii_hexdigit)).collect();
        let code = u32::from_str_radix(&text, 16).ok().filter(|_| text.len() == digits);
        code.ok_or_else(|| format!("{digits} hexadecimal digits are missing"))
    }

    /// Reads `\uhhhh`, or two of them that are one character.
    fn utf16(&mut self) -> Result<char, String> {
        let first = self.hexadecimal(4)?;
        if let Some(c) = char::from_u32(first) {
            return Ok(c);
        }
        let is_followed = self.rest.next_if_eq(&'\\').is_some() && self.rest.next_if_eq(&'u').is_some();
        let second = if is_followed { self.hexadecimal(4)? } else { 0 };
        let units = [first, second].map(|unit| u16::try_from(unit).unwrap_or_default());
        let c = char::decode_utf16(units).next().and_then(Result::ok);
        c.ok_or_else(|| "\\u is half of a character".to_owned())
    }

    fn octal(&mut self) -> Result<char, String> {
        let (mut code, mut count) = (0, 0);
        let mut most = 2;
        while let Some(digit) = self.rest.peek().and_then(|c| c.to_digit(8)).filter(|_| count < most) {
            // A third digit, if the first one leaves it in a byte.
            if count == 0 && digit <= 3 {
                most = 3;
            }
            code = code * 8 + digit;
            count += 1;
            self.rest.next();
        }
        if count == 0 {
            return Err("\\0 is followed by octal digits".to_owned());
        }
        char::from_u32(code).ok_or_else(|| "\\0 is no character".to_owned())
    }
}

pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0B' | '\x0C' | '\r')
}

/// Returns an expression that matches at the end, or before a line terminator at the end.
fn at_end() -> String {
    format!(r"(?=(?:\r\n|[{LINE_ENDS}])?\z)")
}

/// Returns an expression for one character.
pub(super) fn literal(c: char) -> String {
    if c.is_ascii_alphanumeric() { c.to_string() } else { format!("\\x{{{:X}}}", u32::from(c)) }
}
