//! Words and sentences.

/// Abbreviations whose full stop ends no sentence.
const ABBREVIATIONS: [&str; 6] = ["e.g.", "i.e.", "etc.", "vs.", "Nr.", "cf."];

/// Returns a text's words in lower case, without code.
pub(crate) fn words(text: &str) -> String {
    let without_code: String = text.split('`').step_by(2).collect::<Vec<_>>().join(" x ");
    let is_letter = |c: char| c.is_alphanumeric() || c == '\'' || c == '_' || c == '-';
    let words: Vec<_> = without_code.split(|c| !is_letter(c)).filter(|word| !word.is_empty()).collect();
    words.join(" ").to_lowercase()
}

/// Returns whether words from [`words`] contain a phrase.
pub(crate) fn contains(words: &str, phrase: &str) -> bool {
    format!(" {words} ").contains(&format!(" {phrase} "))
}

/// Splits a paragraph into its sentences. A span of code counts as one word, and a colon ends no sentence.
pub(crate) fn sentences(paragraph: &str) -> Vec<String> {
    let text: String =
        paragraph.split('`').enumerate().map(|(i, part)| if i % 2 == 0 { part } else { "code" }).collect();
    let (mut found, mut sentence) = (Vec::new(), Vec::new());
    for word in text.split_whitespace() {
        sentence.push(word);
        let ends = word.trim_end_matches([')', '*', '"', '_', '|']).ends_with(['.', '!', '?', '|']);
        if (ends || word == "|") && !ABBREVIATIONS.contains(&word) {
            found.push(sentence.join(" "));
            sentence.clear();
        }
    }

    found.push(sentence.join(" "));
    found
}

#[test]
fn words_leave_code_out_and_sentences_count_it_as_one_word() {
    assert_eq!(words("It `told` *Nobody*, of-its own."), "it x nobody of-its own");
    assert!(contains("it stands still", "stands still") && !contains("it stands stiller", "stands still"));
    assert_eq!(sentences("One `a b. c` two. Three e.g. four."), ["One code two.", "Three e.g. four.", ""]);
}
