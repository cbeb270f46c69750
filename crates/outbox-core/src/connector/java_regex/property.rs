//! Predefined classes such as `\w`, and `\p{…}`.

use super::pattern::{LetterCase, Pattern};

const HORIZONTAL: &str = r"\t\x20\x{A0}\x{1680}\x{180E}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}";
const VERTICAL: &str = r"\n\x0B\x0C\r\x{85}\x{2028}\x{2029}";
const SPACE: &str = r"\t\n\x0B\x0C\r\x20";

/// Returns the content of the class that a letter after a backslash names.
pub(super) fn predefined(letter: char) -> Option<String> {
    let content = match letter.to_ascii_lowercase() {
        'd' => "0-9",
        'w' => "0-9A-Z_a-z",
        's' => SPACE,
        'h' => HORIZONTAL,
        'v' => VERTICAL,
        _ => return None,
    };
    Some(if letter.is_ascii_uppercase() { format!("^{content}") } else { content.to_owned() })
}

/// Reads `p{NAME}`, `P{NAME}`, `pN` or `PN`, and returns a class.
pub(super) fn read(pattern: &mut Pattern<'_>) -> Result<String, String> {
    let is_negated = pattern.rest.next() == Some('P');
    let name: String = if pattern.rest.next_if_eq(&'{').is_some() {
        let name = std::iter::from_fn(|| pattern.rest.next_if(|c| *c != '}')).collect();
        pattern.rest.next().ok_or("\\p{ is not closed")?;
        name
    } else {
        pattern.rest.next().map(String::from).ok_or("\\p has no name")?
    };
    let ignores_case = pattern.flags.case == LetterCase::Ignored;
    let content = content(&name, ignores_case).ok_or_else(|| format!("\\p{{{name}}} is not modelled"))?;
    Ok(format!("[{}{content}]", if is_negated { "^" } else { "" }))
}

fn content(name: &str, ignores_case: bool) -> Option<String> {
    if let Some(content) = ascii(name, ignores_case) {
        return Some(content.to_owned());
    }
    if let Some((key, value)) = name.split_once('=') {
        return match key.to_ascii_lowercase().as_str() {
            "sc" | "script" => script(value),
            "gc" | "general_category" => category(value, ignores_case),
            _ => None,
        };
    }

    if let Some(name) = name.strip_prefix("java") {
        return of_java(name, ignores_case).map(str::to_owned);
    }

    match name.strip_prefix("Is") {
        Some(name) => category(name, ignores_case).or_else(|| binary(name, ignores_case)).or_else(|| script(name)),
        None => category(name, ignores_case),
    }
}

/// Returns the content of a class of POSIX, which has ASCII only.
fn ascii(name: &str, ignores_case: bool) -> Option<&'static str> {
    Some(match name {
        "Lower" | "Upper" if ignores_case => "A-Za-z",
        "Lower" => "a-z",
        "Upper" => "A-Z",
        "ASCII" => r"\x00-\x7F",
        "Alpha" => "A-Za-z",
        "Digit" => "0-9",
        "Alnum" => "0-9A-Za-z",
        "Punct" => r"\x21-\x2F\x3A-\x40\x5B-\x60\x7B-\x7E",
        "Graph" => r"\x21-\x7E",
        "Print" => r"\x20-\x7E",
        "Blank" => r"\t\x20",
        "Cntrl" => r"\x00-\x1F\x7F",
        "XDigit" => "0-9A-Fa-f",
        "Space" => SPACE,
        _ => return None,
    })
}

fn category(name: &str, ignores_case: bool) -> Option<String> {
    const KNOWN: [&str; 36] = [
        "C", "Cc", "Cf", "Cn", "Co", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No",
        "P", "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs",
    ];
    Some(match name {
        "LC" => r"\p{Lu}\p{Ll}\p{Lt}".to_owned(),
        "Lu" | "Ll" | "Lt" if ignores_case => r"\p{Lu}\p{Ll}\p{Lt}".to_owned(),
        "LD" => r"\p{L}\p{Nd}".to_owned(),
        "L1" => r"\x{00}-\x{FF}".to_owned(),
        "all" => r"\x{0}-\x{10FFFF}".to_owned(),
        known if KNOWN.contains(&known) => format!(r"\p{{{known}}}"),
        _ => return None,
    })
}

/// Returns the content of a binary property of Unicode, whose name has any case.
fn binary(name: &str, ignores_case: bool) -> Option<String> {
    let name = name.to_ascii_uppercase();
    Some(
        match name.as_str() {
            "LOWERCASE" | "UPPERCASE" | "TITLECASE" if ignores_case => r"\p{Lowercase}\p{Uppercase}\p{Lt}",
            "LOWERCASE" => r"\p{Lowercase}",
            "UPPERCASE" => r"\p{Uppercase}",
            "TITLECASE" => r"\p{Lt}",
            "ALPHABETIC" => r"\p{Alphabetic}",
            "IDEOGRAPHIC" => r"\p{Ideographic}",
            "LETTER" => r"\p{L}",
            "DIGIT" => r"\p{Nd}",
            "PUNCTUATION" => r"\p{P}",
            "CONTROL" => r"\p{Cc}",
            "WHITE_SPACE" | "WHITESPACE" => r"\p{White_Space}",
            "HEX_DIGIT" | "HEXDIGIT" => r"\p{Nd}\p{Hex_Digit}",
            _ => return None,
        }
        .to_owned(),
    )
}

/// Returns the content of a class that a method of `java.lang.Character` names.
fn of_java(name: &str, ignores_case: bool) -> Option<&'static str> {
    Some(match name {
        "LowerCase" | "UpperCase" | "TitleCase" if ignores_case => r"\p{Lowercase}\p{Uppercase}\p{Lt}",
        "LowerCase" => r"\p{Lowercase}",
        "UpperCase" => r"\p{Uppercase}",
        "TitleCase" => r"\p{Lt}",
        "Alphabetic" => r"\p{Alphabetic}",
        "Ideographic" => r"\p{Ideographic}",
        "Letter" => r"\p{L}",
        "Digit" => r"\p{Nd}",
        "LetterOrDigit" => r"\p{L}\p{Nd}",
        "SpaceChar" => r"\p{Z}",
        _ => return None,
    })
}

/// Returns the content of a script of Unicode, which the engine knows by the same name.
fn script(name: &str) -> Option<String> {
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
    is_name.then(|| format!(r"\p{{Script={name}}}"))
}
