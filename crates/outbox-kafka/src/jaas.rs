use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::Chars;

/// One entry of `sasl.jaas.config`: a login module and its options.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LoginModule {
    pub(crate) class: String,
    pub(crate) options: BTreeMap<String, String>,
}

impl LoginModule {
    /// Parses `CLASS required NAME="VALUE" …;` as Kafka's `JaasConfig` does, by the rules of Java's `StreamTokenizer`.
    ///
    /// The error names the place and never a value.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut tokens = Tokens(text.chars().peekable());
        let Some(Token::Text(class)) = tokens.next()? else {
            return Err("it begins with the class of a login module");
        };
        match tokens.next()? {
            Some(Token::Text(flag)) if is_control_flag(&flag) => {}
            _ => return Err("the word `required` follows the class of the login module"),
        }

        let mut options = BTreeMap::new();
        loop {
            let name = match tokens.next()? {
                Some(Token::Text(name)) => name,
                Some(Token::Sign(';')) => break,
                Some(_) => return Err("an option is written name=\"value\""),
                None => return Err("it ends in a semicolon"),
            };
            match (tokens.next()?, tokens.next()?) {
                (Some(Token::Sign('=')), Some(Token::Text(value))) => options.insert(name, value),
                _ => return Err("an option is written name=\"value\"; a value that is a number needs its quotes"),
            };
        }
        match tokens.next()? {
            None => Ok(Self { class, options }),
            Some(_) => Err("it has more than one login module"),
        }
    }
}

fn is_control_flag(word: &str) -> bool {
    ["required", "requisite", "sufficient", "optional"].iter().any(|flag| flag.eq_ignore_ascii_case(word))
}

enum Token {
    /// A word, or a text in quotes.
    Text(String),
    Number,
    Sign(char),
}

struct Tokens<'a>(Peekable<Chars<'a>>);

impl Tokens<'_> {
    /// Returns the next token by the rules of Java's `StreamTokenizer`, with which Kafka reads the property.
    fn next(&mut self) -> Result<Option<Token>, &'static str> {
        loop {
            let Some(c) = self.0.next() else { return Ok(None) };
            return Ok(Some(match c {
                '\0'..=' ' => continue,
                '/' => match self.0.peek() {
                    Some('/') => {
                        self.skip_line();
                        continue;
                    }
                    Some('*') => {
                        self.skip_comment()?;
                        continue;
                    }
                    // A slash alone begins a comment, which is the default of Java's tokenizer.
                    _ => {
                        self.skip_line();
                        continue;
                    }
                },
                '"' | '\'' => Token::Text(self.quoted(c)?),
                '0'..='9' | '.' | '-' => self.number(c),
                c if is_word(c) => Token::Text(self.word(c)),
                c => Token::Sign(c),
            }));
        }
    }

    fn word(&mut self, first: char) -> String {
        let mut word = String::from(first);
        while let Some(c) = self.0.next_if(|c| is_word(*c) || is_number(*c)) {
            word.push(c);
        }
        word
    }

    fn number(&mut self, first: char) -> Token {
        let has_digit = first.is_ascii_digit() || self.0.peek().is_some_and(|c| is_number(*c));
        while self.0.next_if(|c| is_number(*c)).is_some() {}
        if has_digit { Token::Number } else { Token::Sign(first) }
    }

    fn quoted(&mut self, quote: char) -> Result<String, &'static str> {
        const OPEN: &str = "a quote is not closed";
        let mut text = String::new();
        loop {
            match self.0.next().ok_or(OPEN)? {
                c if c == quote => return Ok(text),
                '\n' | '\r' => return Err(OPEN),
                '\\' => text.push(self.escaped()?),
                c => text.push(c),
            }
        }
    }

    /// Returns the character of an escape, after its backslash. As in Java, an unknown escape stands for its own
    /// character.
    fn escaped(&mut self) -> Result<char, &'static str> {
        Ok(match self.0.next().ok_or("a quote is not closed")? {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            // Up to three octal digits, at most \377.
            first @ '0'..='7' => {
                let mut code = octal(first);
                let most = if first <= '3' { 2 } else { 1 };
                for _ in 0..most {
                    let Some(digit) = self.0.next_if(|c| ('0'..='7').contains(c)) else { break };
                    code = code * 8 + octal(digit);
                }
                char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            c => c,
        })
    }

    fn skip_line(&mut self) {
        while self.0.next_if(|c| !matches!(c, '\n' | '\r')).is_some() {}
    }

    fn skip_comment(&mut self) -> Result<(), &'static str> {
        self.0.next();
        let mut last = '\0';
        for c in self.0.by_ref() {
            if (last, c) == ('*', '/') {
                return Ok(());
            }
            last = c;
        }
        Err("a comment is not closed")
    }
}

fn octal(digit: char) -> u32 {
    digit.to_digit(8).unwrap_or(0)
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphabetic() || c >= '\u{a0}' || matches!(c, '-' | '_' | '$')
}

fn is_number(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '.' | '-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn options(text: &str) -> BTreeMap<String, String> {
        LoginModule::parse(text).unwrap().options
    }

    #[test]
    fn modules_are_read_as_kafka_reads_them() {
        let text = "org.apache.kafka.common.security.scram.ScramLoginModule required\n  username=\"al\\\"ice\" // a comment\n\
                    password='it''; /* semi; */ tokenauth=true x-y_z$=\"\\t\\101\\\\\" ;";
        assert!(LoginModule::parse(text).is_err(), "two quotes in turn are two texts");
        let text = text.replace("it''", "it'");
        let module = LoginModule::parse(&text.replace("it';", "it;'")).unwrap();
        assert_eq!(module.class, "org.apache.kafka.common.security.scram.ScramLoginModule");
        let expected = [("username", "al\"ice"), ("password", "it;"), ("tokenauth", "true"), ("x-y_z$", "\tA\\")];
        assert_eq!(module.options, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
        assert_eq!(options("a.B REQUIRED;"), BTreeMap::new());
        assert_eq!(options("a.B required u=\"é\\377\";")["u"], "éÿ");
    }

    #[test]
    fn what_kafka_rejects_is_rejected_without_its_value() {
        for text in [
            "",
            ";",
            "a.B",
            "a.B maybe p=\"hunter2\";",
            "a.B required p=\"hunter2\"",
            "a.B required p=\"hunter2;",
            "a.B required p hunter2;",
            "a.B required p=;",
            "a.B required p=1234;",
            "a.B required p=\"hunter2\"; c.D required;",
            "a.B required /* hunter2 ;",
        ] {
            let error = LoginModule::parse(text).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_value_in_quotes_is_read_back(user in any::<String>(), password in any::<String>()) {
            let quoted = |text: &str| {
                let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
                format!("\"{text}\"")
            };
            let text = format!("a.B required username={} password={};", quoted(&user), quoted(&password));
            let read = options(&text);
            prop_assert_eq!((&read["username"], &read["password"]), (&user, &password));
        }

        #[test]
        fn any_text_is_an_error_or_a_module(text in any::<String>()) {
            let _ = LoginModule::parse(&text);
        }
    }
}
