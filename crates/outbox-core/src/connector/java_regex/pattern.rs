//! The text of an expression that is read from its beginning to its end.

use std::iter::Peekable;
use std::str::Chars;

/// Whether letters of ASCII match in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LetterCase {
    Distinct,
    Ignored,
}

#[derive(Clone, Copy)]
pub(super) struct Flags {
    pub(super) case: LetterCase,
    pub(super) dot_is_all: bool,
    pub(super) has_comments: bool,
}

pub(super) struct Pattern<'a> {
    pub(super) rest: Peekable<Chars<'a>>,
    pub(super) flags: Flags,
}

impl<'a> Pattern<'a> {
    pub(super) fn new(pattern: &'a str, case: LetterCase) -> Self {
        let flags = Flags { case, dot_is_all: false, has_comments: false };
        Self { rest: pattern.chars().peekable(), flags }
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

    /// Reads an escaped character, after its backslash.
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
            // A third digit is allowed if the value then fits in a byte.
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

/// Returns an expression for one character.
pub(super) fn literal(c: char) -> String {
    if c.is_ascii_alphanumeric() { c.to_string() } else { format!("\\x{{{:X}}}", u32::from(c)) }
}
