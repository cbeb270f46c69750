//! Paragraphs of functions, by the layout that rustfmt gives them.

use super::comments::is_function;

/// A body may be one paragraph up to this many lines,
const SHORT: usize = 24;
/// or up to this many statements: a long `match` has no steps.
const FEW: usize = 7;

/// Finds the functions with many statements and no blank line between them, by the lines on which they begin.
pub(crate) fn functions_without_paragraphs(source: &str) -> Vec<usize> {
    let lines: Vec<_> = source.lines().collect();
    let found = (1..).zip(&lines).filter(|(number, line)| {
        let body = lines.iter().skip(*number - 1);
        is_function(line.trim()) && has_no_paragraphs(indentation(line), body)
    });
    found.map(|(number, _)| number).collect()
}

/// Returns whether the body of the function that begins these lines is long and has no blank line.
fn has_no_paragraphs<'a>(indent: usize, lines: impl Iterator<Item = &'a &'a str>) -> bool {
    let mut lines = lines.skip_while(|line| !line.ends_with(['{', ';', '}']));
    if lines.next().is_none_or(|opens| !opens.ends_with('{')) {
        return false;
    }

    let end = format!("{}}}", " ".repeat(indent));
    let body: Vec<_> = lines.take_while(|line| !line.starts_with(&end)).collect();
    let is_statement = |line: &&&&str| {
        let text = line.trim_start();
        indentation(line) == indent + 4 && !text.starts_with(['}', ')', ']', '.', '/', '#'])
    };
    body.len() > SHORT && body.iter().filter(is_statement).count() > FEW && body.iter().all(|line| !line.is_empty())
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[test]
fn a_long_body_without_a_blank_line_is_found() {
    let long = format!("fn f() {{\n{}}}\n", "    g();\n".repeat(SHORT + 1));
    assert_eq!(functions_without_paragraphs(&format!("\n{long}")), [2]);
    assert!(functions_without_paragraphs(&long.replacen("    g();\n", "\n", 1)).is_empty());
    assert!(functions_without_paragraphs(&format!("fn f() {{\n{}}}\n", "        g();\n".repeat(30))).is_empty());
}
