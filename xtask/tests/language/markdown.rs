//! Markdown, as far as this workspace uses it.

/// A page of Markdown.
pub(crate) struct Page<'a> {
    text: &'a str,
}

/// Lines that belong together, joined.
pub(crate) struct Paragraph {
    pub(crate) line: usize,
    pub(crate) text: String,
}

impl<'a> Page<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text }
    }

    /// Returns the lines outside of code blocks, with their numbers.
    fn lines_outside_code(&self) -> Vec<(usize, &'a str)> {
        let (mut lines, mut fence) = (Vec::new(), None);
        for (index, line) in self.text.lines().enumerate() {
            let mark = line.trim_start();
            match fence {
                None if mark.starts_with("```") => fence = Some("```"),
                None => lines.push((index + 1, line)),
                Some(end) if mark.starts_with(end) => fence = None,
                Some(_) => {}
            }
        }
        lines
    }

    /// Returns the lines that must be wrapped: neither code, nor tables, nor images and link targets.
    pub(crate) fn prose_lines(&self) -> Vec<(usize, &'a str)> {
        let is_free = |line: &str| ["|", "[!", "![", "<"].iter().any(|start| line.trim_start().starts_with(start));
        let is_target = |line: &str| line.starts_with('[') && line.contains("]: ");
        self.lines_outside_code().into_iter().filter(|(_, line)| !is_free(line) && !is_target(line)).collect()
    }

    /// Returns the paragraphs, the items of lists, the headings and the rows of tables.
    pub(crate) fn paragraphs(&self) -> Vec<Paragraph> {
        let mut found: Vec<Paragraph> = Vec::new();
        let mut next_is_new = true;

        for (line, text) in self.lines_outside_code() {
            let trimmed = text.trim();
            let begins = next_is_new || begins_item(trimmed) || trimmed.starts_with(['|', '#']);
            match found.last_mut() {
                _ if trimmed.is_empty() => {}
                Some(last) if !begins => last.text = format!("{} {trimmed}", last.text),
                _ => found.push(Paragraph { line, text: trimmed.to_owned() }),
            }
            next_is_new = trimmed.is_empty() || trimmed.starts_with(['|', '#']);
        }
        found
    }

    /// Returns the headings, as the anchors that GitHub and mdBook make of them.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        for (_, line) in self.lines_outside_code() {
            let title = line.trim_start_matches('#');
            if title.len() == line.len() || !title.starts_with(' ') {
                continue;
            }
            let is_kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
            let anchor: String = without_links(title.trim()).to_lowercase().chars().filter(is_kept).collect();
            let anchor = anchor.replace(' ', "-");
            let same = anchors.iter().filter(|other| **other == anchor).count();
            anchors.push(if same == 0 { anchor } else { format!("{anchor}-{same}") });
        }
        anchors
    }

    /// Returns the targets of links and images, with the numbers of their paragraphs' lines.
    pub(crate) fn links(&self) -> Vec<(usize, String)> {
        let mut links = Vec::new();
        for Paragraph { line, text } in self.paragraphs() {
            let plain: String = text.split('`').enumerate().filter(|(i, _)| i % 2 == 0).map(|(_, part)| part).collect();
            let inline = plain.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
            links.extend(inline.map(|target| (line, target.to_owned())));
            let reference = plain.split_once("]: ").filter(|_| plain.starts_with('['));
            links.extend(reference.map(|(_, target)| (line, target.trim().to_owned())));
        }
        links
    }
}

/// Returns whether a line begins an item of a list.
fn begins_item(line: &str) -> bool {
    let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
    line.starts_with("- ") || line.starts_with("* ") || (number.len() < line.len() && number.starts_with(". "))
}

/// Returns a title with the texts of its links in place of the links.
fn without_links(title: &str) -> String {
    let mut text = String::new();
    for (index, part) in title.split("](").enumerate() {
        let rest = if index == 0 { part } else { part.split_once(')').map_or("", |(_, rest)| rest) };
        text.push_str(rest);
    }
    text.replace('[', "")
}

#[test]
fn a_page_is_read() {
    let page = Page::new(
        "# A `b` [c](d.md)\n\nOne\ntwo [x](y.md#z).\n- item\n\n```sh\n# not [a](link)\n```\n| cell |\n\n# A b c\n",
    );
    assert_eq!(page.anchors(), ["a-b-c", "a-b-c-1"]);
    let texts: Vec<_> = page.paragraphs().into_iter().map(|paragraph| paragraph.text).collect();
    assert_eq!(texts, ["# A `b` [c](d.md)", "One two [x](y.md#z).", "- item", "| cell |", "# A b c"]);
    let links: Vec<_> = page.links().into_iter().map(|(_, link)| link).collect();
    assert_eq!(links, ["d.md", "y.md#z"]);
}
