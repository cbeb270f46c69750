//! Regular expressions as `java.util.regex` reads them.

mod class;
mod pattern;
mod property;
mod translation;

use std::fmt;
use std::sync::Arc;

use fancy_regex::{Captures, Regex, RegexBuilder};

pub(crate) use self::pattern::LetterCase;
use self::translation::Translation;

/// A regular expression in the syntax of `java.util.regex`, which Kafka Connect and Debezium take.
///
/// It understands lookaround, back-references, possessive quantifiers, `\Q…\E`, classes with `&&` and `\p{…}`. As in
/// Java, classes such as `\w` are ASCII, and so is the comparison without regard to case. An expression is rejected if
/// it has a block of Unicode (`\p{InGreek}`), `\X`, `\N{…}`, `\b{g}` or one of the flags `d`, `m`, `u` and `U`.
///
/// A match ends with an error after 1,000,000 backtracking steps, so that its time is bounded.
#[derive(Clone)]
pub struct JavaRegex(Arc<Compiled>);

struct Compiled {
    pattern: String,
    whole: Regex,
    first: Regex,
}

/// The reason why an expression cannot be used, or a match was aborted.
#[derive(Debug, thiserror::Error)]
#[error("this regular expression cannot be used here: {0}")]
pub struct JavaRegexError(String);

/// The number of backtracking steps after which a match is aborted.
const STEPS: usize = 1_000_000;

impl JavaRegex {
    /// Reads an expression that distinguishes upper and lower case.
    ///
    /// # Errors
    /// Java rejects the expression, or it has something of the list above.
    pub fn parse(pattern: &str) -> Result<Self, JavaRegexError> {
        Self::with_case(pattern, LetterCase::Distinct)
    }

    pub(crate) fn with_case(pattern: &str, case: LetterCase) -> Result<Self, JavaRegexError> {
        let translated = Translation::of(pattern, case).map_err(JavaRegexError)?;
        let compile = |pattern: &str| {
            let mut builder = RegexBuilder::new(pattern);
            let compiled = builder.backtrack_limit(STEPS).build();
            compiled.map_err(|_| {
                JavaRegexError("the regular expression is too large, or names a script that is not known".into())
            })
        };
        let whole = compile(&format!(r"\A(?:{translated})\z"))?;
        let (pattern, first) = (pattern.to_owned(), compile(&translated)?);
        Ok(Self(Arc::new(Compiled { pattern, whole, first })))
    }

    /// Returns whether the expression matches the whole text, as Java's `matches()`.
    ///
    /// # Errors
    /// The attempt took too many steps.
    pub fn matches(&self, text: &str) -> Result<bool, JavaRegexError> {
        self.0.whole.is_match(text).map_err(given_up)
    }

    /// Returns the first match within the text, as Java's `find()`.
    pub(crate) fn find<'t>(&self, text: &'t str) -> Result<Option<Captures<'t, str>>, JavaRegexError> {
        self.0.first.captures(text).map_err(given_up)
    }

    /// Returns the number of groups, with the one of the whole match.
    pub(crate) fn groups(&self) -> usize {
        self.0.first.captures_len()
    }

    pub(crate) fn has_group(&self, name: &str) -> bool {
        self.0.first.capture_names().flatten().any(|known| known == name)
    }
}

fn given_up(_: fancy_regex::Error) -> JavaRegexError {
    JavaRegexError(format!("it takes more than {STEPS} steps back at this text: simplify it"))
}

impl fmt::Debug for JavaRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("JavaRegex").field(&self.0.pattern).finish()
    }
}

/// Returns an expression that matches this text only.
pub(crate) fn escape(text: &str) -> String {
    let is_special = |c: char| r"\.+*?()|[]{}^$#&-~".contains(c);
    text.chars().fold(String::with_capacity(text.len()), |mut escaped, c| {
        escaped.extend(is_special(c).then_some('\\'));
        escaped.push(c);
        escaped
    })
}

#[cfg(test)]
mod tests;
