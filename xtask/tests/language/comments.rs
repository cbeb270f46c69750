//! Comments, documentation and string literals of Rust, read line by line.

/// Documentation.
pub(crate) struct Documented<'a> {
    /// The number of the line on which it begins.
    pub(crate) line: usize,
    /// The first line.
    pub(crate) text: &'a str,
}

/// Finds the documentation of functions that are no tests.
pub(crate) fn documented_functions(source: &str) -> Vec<Documented<'_>> {
    let (mut found, mut first, mut is_test, mut attribute) = (Vec::new(), None, false, 0);
    for (index, line) in source.lines().enumerate() {
        let text = line.trim();
        if let Some(documentation) = text.strip_prefix("///") {
            first = first.or(Some(Documented { line: index + 1, text: documentation.trim() }));
        } else if attribute > 0 || text.starts_with("#[") {
            attribute += text.matches('[').count();
            attribute = attribute.saturating_sub(text.matches(']').count());
            is_test |= ["#[test]", "#[tokio::test"].iter().any(|it| text.starts_with(it));
        } else if !text.starts_with("//") {
            found.extend(first.take().filter(|_| is_function(text) && !is_test));
            is_test = false;
        }
    }
    found
}

/// Finds the first lines of all documentation.
pub(crate) fn documentation_blocks(source: &str) -> impl Iterator<Item = Documented<'_>> {
    let text = |line: &str| ["///", "//!"].iter().any(|mark| line.trim_start().starts_with(mark));
    let mut is_inside = false;
    source.lines().enumerate().filter_map(move |(index, line)| {
        let was_inside = std::mem::replace(&mut is_inside, text(line));
        let begins = is_inside && !was_inside;
        begins.then(|| Documented { line: index + 1, text: line.trim().trim_start_matches(['/', '!']).trim() })
    })
}

/// Returns whether a line of code begins a function.
pub(crate) fn is_function(code: &str) -> bool {
    let is_qualifier = |word: &str| ["async", "const", "unsafe", "extern", "default"].contains(&word);
    code.split_whitespace().find(|word| !word.starts_with("pub") && !word.starts_with("in ") && !is_qualifier(word))
        == Some("fn")
}

/// Returns the lines with a comment, and the comments' text.
pub(crate) fn comment_lines(source: &str) -> impl Iterator<Item = (usize, &str)> {
    let comment = |line| split(line).1;
    source.lines().enumerate().filter_map(move |(index, line)| Some((index + 1, comment(line)?)))
}

/// Returns the texts in quotes that are on one line, or the parts of one line.
pub(crate) fn literals(source: &str) -> Vec<(usize, String)> {
    let before_tests = source.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    let (mut found, mut is_open) = (Vec::new(), false);
    for (index, line) in before_tests.lines().enumerate() {
        if is_open || !line.trim_start().starts_with("//") {
            let (texts, ends_open) = quoted(if is_open { line } else { split(line).0 }, is_open);
            is_open = ends_open;
            found.extend(texts.into_iter().map(|text| (index + 1, text)));
        }
    }
    found
}

/// Returns the messages of `tracing`'s macros: the last text in each.
pub(crate) fn log_messages(source: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in source.match_indices("tracing::") {
        let (before, rest) = source.split_at(at);
        let is_log =
            ["error!(", "warn!(", "info!(", "debug!(", "trace!("].iter().any(|level| rest[9..].starts_with(level));
        let arguments = if is_log { call(rest).replace("\\\n", " ") } else { String::new() };
        let text = arguments.rsplit('"').nth(1).unwrap_or_default();
        found.extend((!text.is_empty()).then(|| (before.lines().count().max(1), text.to_owned())));
    }
    found
}

/// Returns the call that a text begins with, up to its closing parenthesis.
fn call(text: &str) -> &str {
    let (mut depth, mut is_quoted, mut is_escaped) = (0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            '(' if !is_quoted => depth += 1,
            ')' if !is_quoted => {
                depth -= 1;
                if depth == 0 {
                    return &text[..at];
                }
            }
            _ => {}
        }
    }
    text
}

/// Splits a line into its code and the text of its comment.
fn split(line: &str) -> (&str, Option<&str>) {
    let comment = line.match_indices("//").map(|(at, _)| at).find(|at| {
        let code = line.get(..*at).unwrap_or_default();
        code.replace("\\\"", "").matches('"').count() % 2 == 0 && !code.ends_with(':')
    });
    match comment {
        Some(at) => (&line[..at], Some(line[at..].trim_start_matches(['/', '!']))),
        None => (line, None),
    }
}

/// Returns what stands between quotes, and whether the last quote is still open at the end.
fn quoted(code: &str, was_open: bool) -> (Vec<String>, bool) {
    let code = code.replace("\\\"", "'").replace("'\"'", "");
    let parts: Vec<_> = code.split('"').collect();
    let is_inside = |index: usize| (index % 2 == 1) != was_open;
    let texts = parts.iter().enumerate().filter(|(index, _)| is_inside(*index)).map(|(_, text)| (*text).to_owned());
    (texts.collect(), is_inside(parts.len() - 1))
}

#[test]
fn comments_literals_and_functions_are_found() {
    let source = "/// Returns it.\n#[must_use]\npub(crate) const fn it() {\n    call(\"an // error\"); // why\n}\n\
                  /// Is a test.\n#[test]\nfn test() {}\n/// A type.\nstruct Type;\n";
    let functions: Vec<_> = documented_functions(source).iter().map(|it| (it.line, it.text)).collect();
    assert_eq!(functions, [(1, "Returns it.")]);
    assert_eq!(comment_lines(source).nth(1), Some((4, " why")));
    assert_eq!(literals(source), [(4, "an // error".to_owned())]);
    let log = "fn f() {\n    tracing::warn!(target: \"x\", error = %e, \"lease \\\n lost\");\n}\n";
    assert_eq!(log_messages(log).len(), 1);
    assert!(log_messages(log)[0].1.starts_with("lease"));
    let arm = "true => tracing::info!(part = name(), \"lease lost (again)\"),\nfalse => \"Other\",";
    assert_eq!(log_messages(arm)[0].1, "lease lost (again)");
}
