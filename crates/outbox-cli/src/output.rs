use std::io::{ErrorKind, Write as _};
use std::ops::ControlFlow;

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::exit::Failure;

/// The output format of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// Tables and sentences for people
    Table,
    /// One JSON document; new versions may add members
    Json,
}

/// The result of a command: data for programs, and a text for people.
pub(crate) trait Report: Serialize {
    /// Returns the parts of the text.
    fn parts(&self) -> Vec<Part>;
}

/// A part of a text.
pub(crate) enum Part {
    /// Rows below a head.
    Table { head: &'static [&'static str], rows: Vec<Vec<String>> },
    /// Rows of sentences: on a terminal, a row that is too long is wrapped within its columns.
    Sentences { head: &'static [&'static str], rows: Vec<Vec<String>> },
    /// Names with their values, one a line.
    Fields(Vec<(&'static str, String)>),
    /// A separate line.
    Line(String),
}

impl Output {
    /// Prints a report to standard output.
    pub(crate) fn print(self, report: &impl Report) -> Result<(), Failure> {
        let text = match self {
            Self::Table => report.parts().iter().map(Part::render).collect::<String>(),
            Self::Json => {
                let json = serde_json::to_string_pretty(report);
                json.map_err(|e| Failure::usage("the result cannot be written as JSON").caused_by(&e))? + "\n"
            }
        };
        write(&text)
    }

    /// Prints one of several reports, and returns whether standard output is still open. As JSON, each report is on a
    /// separate line.
    pub(crate) fn print_line(self, report: &impl Report) -> Result<ControlFlow<()>, Failure> {
        let line = match self {
            Self::Table => report.parts().iter().map(Part::render).collect::<String>(),
            Self::Json => {
                let json = serde_json::to_string(report);
                json.map_err(|e| Failure::usage("the result cannot be written as JSON").caused_by(&e))? + "\n"
            }
        };
        written(&line)
    }
}

/// Writes text to standard output. A reader that closes the pipe, such as `head`, is no error.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    written(text).map(|_| ())
}

/// Writes text to standard output, and returns whether it is still open.
fn written(text: &str) -> Result<ControlFlow<()>, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(Failure::usage("standard output cannot be written").caused_by(&error)),
    }
}

/// Writes a line to standard error. A closed standard error is ignored.
pub(crate) fn notice(line: &str) {
    _ = writeln!(std::io::stderr(), "{line}");
}

impl Part {
    fn render(&self) -> String {
        match self {
            Self::Table { head, rows } => table(Some(head), rows, None),
            Self::Sentences { head, rows } => table(Some(head), rows, terminal_width()),
            Self::Fields(fields) => {
                let rows: Vec<_> = fields.iter().map(|(name, value)| vec![format!("{name}:"), value.clone()]).collect();
                table(None, &rows, None)
            }
            Self::Line(line) => format!("{line}\n"),
        }
    }
}

/// Returns the columns of the terminal; `None` if standard output is none.
fn terminal_width() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    Some(size.ws_col).filter(|columns| *columns > 0)
}

/// Lays out columns with two spaces between them, as kubectl does: easy to read, and to cut. With a width, cells are
/// wrapped.
fn table(head: Option<&[&str]>, rows: &[Vec<String>], width: Option<u16>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }

    if let Some(head) = head {
        table.set_header(head.iter().map(|name| name.to_uppercase()));
    }
    table.add_rows(rows.iter().map(|row| row.iter().map(|cell| cell.replace(char::is_control, " "))));
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Formats a number of bytes with a unit, such as `1.5 MB`, where 1 kB is 1,024 bytes.
pub(crate) fn bytes(bytes: i64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes.unsigned_abs() < 1024 {
        return format!("{bytes} B");
    }

    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = "kB";
    for larger in UNITS.iter().skip(1) {
        if value.abs() < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    format!("{value:.1} {unit}")
}

/// Formats a number of seconds with units, such as `2 min 5 s`.
pub(crate) fn seconds(seconds: f64) -> String {
    let whole = seconds.round();
    match whole {
        _ if seconds < 60.0 => format!("{seconds:.1} s"),
        _ if whole < 3600.0 => format!("{} min {} s", (whole / 60.0).floor(), whole % 60.0),
        _ if whole < 86_400.0 => format!("{} h {} min", (whole / 3600.0).floor(), (whole % 3600.0 / 60.0).floor()),
        _ => format!("{} d {} h", (whole / 86_400.0).floor(), (whole % 86_400.0 / 3600.0).floor()),
    }
}

/// Returns a text, or a dash in its place.
pub(crate) fn or_dash(text: Option<&str>) -> String {
    text.filter(|text| !text.is_empty()).unwrap_or("-").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_have_no_spaces_at_their_ends() {
        let rows = [vec!["a".to_owned(), String::new()], vec!["longer".to_owned(), "b\nc".to_owned()]];
        assert_eq!(table(Some(&["name", "state"]), &rows, None), "NAME    STATE\na\nlonger  b c\n");
        assert_eq!(table(None, &[], None), "");
        let sentence = [vec!["failed".to_owned(), "words ".repeat(30).trim_end().to_owned()]];
        let wrapped = table(Some(&["status", "found"]), &sentence, Some(40));
        assert!(wrapped.lines().count() > 3 && wrapped.lines().all(|line| line.len() <= 40), "{wrapped}");
    }

    #[test]
    fn quantities_are_readable() {
        assert_eq!([0, 1023, 1024, 1_572_864, -2048].map(bytes), ["0 B", "1023 B", "1.0 kB", "1.5 MB", "-2.0 kB"]);
        assert_eq!([0.25, 90.0, 3_700.0, 90_000.0].map(seconds), ["0.2 s", "1 min 30 s", "1 h 1 min", "1 d 1 h"]);
    }
}
