//! How commands print: aligned tables, JSON, colour where it helps, progress on a terminal.

use std::io::{IsTerminal, Write};

use serde::Serialize;

use crate::cli::OutputFormat;

/// Where and how to print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    format: OutputFormat,
    is_colourful: bool,
    is_terminal: bool,
}

impl Output {
    /// Colour only on a terminal and only without `NO_COLOR` (no-color.org) and with a capable `TERM`.
    pub(crate) fn new(format: OutputFormat) -> Output {
        let is_terminal = std::io::stdout().is_terminal();
        let refuses = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Output { format, is_colourful: is_terminal && !refuses, is_terminal }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    /// Prints a document: `text` for people, `value` as JSON for programs.
    pub(crate) fn result(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        if self.is_json() {
            self.line(&serde_json::to_string_pretty(value)?)
        } else {
            self.line(text().trim_end_matches('\n'))
        }
    }

    /// Prints a line. A closed pipe (`wharf ps | head -1`) ends the command quietly.
    pub(crate) fn line(&self, text: &str) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(ClosedPipe.into()),
            other => Ok(other?),
        }
    }

    /// Prints a line for people; nothing with `--output json`.
    pub(crate) fn say(&self, text: &str) -> anyhow::Result<()> {
        if self.is_json() { Ok(()) } else { self.line(text) }
    }

    /// Shows what goes on now, on the last line of a terminal; `done` or the next line replaces it.
    pub(crate) fn progress(&self, text: &str) {
        if self.is_terminal && !self.is_json() {
            let mut out = std::io::stdout().lock();
            // A terminal that went away shows no progress; the command goes on.
            let _ = write!(out, "\r\x1b[2K{text}").and_then(|()| out.flush());
        }
    }

    /// Removes what `progress` showed.
    pub(crate) fn progress_done(&self) {
        self.progress("");
    }

    pub(crate) fn green(&self, text: &str) -> String {
        self.paint(text, "32")
    }

    pub(crate) fn red(&self, text: &str) -> String {
        self.paint(text, "31")
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.is_colourful { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Standard output was closed by its reader.
#[derive(Debug, thiserror::Error)]
#[error("standard output is closed")]
pub(crate) struct ClosedPipe;

/// A table with a head; columns are as wide as their widest cell.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// Titles; one that starts with `>` is a right-aligned column.
    pub(crate) fn new(titles: &[&str]) -> Table {
        let right = titles.iter().map(|title| title.starts_with('>')).collect();
        let head = titles.iter().map(|title| title.trim_start_matches('>').to_owned()).collect();
        Table { rows: vec![head], right }
    }

    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    pub(crate) fn render(&self) -> String {
        let widths: Vec<usize> = (0..self.right.len())
            .map(|column| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let padding = " ".repeat(widths[column] - cell.chars().count());
                if self.right[column] {
                    line.push_str(&padding);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&padding);
                }
                line.push_str("  ");
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

/// `12 s`, `3 min`, `2 h`, `5 d`: how long ago, for people.
pub(crate) fn ago(elapsed: std::time::Duration) -> String {
    let seconds = elapsed.as_secs();
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `1.5 MiB`: bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1_024.0 {
            return if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1_024.0;
    }
    format!("{value:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_aligned_and_have_no_trailing_blanks() {
        let mut table = Table::new(&["NAME", ">COUNT"]);
        table.row(vec!["web".to_owned(), "5".to_owned()]);
        table.row(vec!["database".to_owned(), "12".to_owned()]);
        assert_eq!(table.render(), "NAME      COUNT\nweb           5\ndatabase     12\n");
    }

    #[test]
    fn sizes_and_times_are_for_people() {
        assert_eq!(bytes(512), "512 B");
        assert_eq!(bytes(3 << 19), "1.5 MiB");
        assert_eq!(ago(std::time::Duration::from_secs(7_300)), "2 h");
    }
}
