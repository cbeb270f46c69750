use std::fmt::Write as _;

/// Renders a Java properties file.
pub(crate) fn render(pairs: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (key, value) in pairs {
        text.push_str(key);
        text.push('=');
        for character in value.chars() {
            escape(character, &mut text);
        }
        text.push('\n');
    }
    text
}

/// Escapes a text for a properties file. The files are read as ISO 8859-1, with a backslash before special characters.
fn escape(character: char, text: &mut String) {
    match character {
        '\\' => text.push_str("\\\\"),
        '\n' => text.push_str("\\n"),
        ' '..='~' => text.push(character),
        _ => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_any_characters_survive() {
        let pairs = [("node.id", "1".to_owned()), ("log.dirs", "/home/jos\u{e9}/a b\\c/\u{1f980}".to_owned())];
        assert_eq!(render(&pairs), "node.id=1\nlog.dirs=/home/jos\\u00e9/a b\\\\c/\\ud83e\\udd80\n");
    }
}
