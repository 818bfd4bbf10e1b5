//! What a comparison writes.

use std::collections::BTreeMap;

use serde::Serialize;

use super::process;

/// One comparison.
#[derive(Serialize)]
pub(super) struct Comparison {
    pub(super) topic: &'static str,
    pub(super) machine: Machine,
    pub(super) versions: BTreeMap<String, String>,
    pub(super) commands: Vec<String>,
    /// One each tool and repetition, in the order in which they ran.
    pub(super) rows: Vec<Row>,
    /// Medians over repetitions; `ratio` is ours over the peer's within a repetition.
    pub(super) summary: BTreeMap<String, f64>,
}

/// Where it ran.
#[derive(Serialize)]
pub(super) struct Machine {
    pub(super) cpu: String,
    pub(super) cores: usize,
    pub(super) kernel: String,
    pub(super) load_before: String,
}

/// One measured run.
#[derive(Clone, Serialize)]
pub(super) struct Row {
    pub(super) repetition: u32,
    pub(super) tool: String,
    pub(super) measure: String,
    pub(super) values: BTreeMap<String, f64>,
}

impl Comparison {
    pub(super) fn new(topic: &'static str) -> Comparison {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim().to_owned()));
        Comparison {
            topic,
            machine: Machine {
                cpu: cpu.unwrap_or_default(),
                cores: std::thread::available_parallelism().map_or(1, usize::from),
                kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
                load_before: read("/proc/loadavg").trim().to_owned(),
            },
            versions: BTreeMap::new(),
            commands: Vec::new(),
            rows: Vec::new(),
            summary: BTreeMap::new(),
        }
    }

    /// Notes a tool's version: the first line that `program arguments` prints.
    pub(super) fn version(&mut self, tool: &str, program: &str, arguments: &[&str]) {
        let text = process::first_line(program, arguments).unwrap_or_else(|| "?".to_owned());
        self.versions.insert(tool.to_owned(), text);
    }

    pub(super) fn row(&mut self, repetition: u32, tool: &str, measure: &str, values: &[(&str, f64)]) {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        let row = Row { repetition, tool: tool.to_owned(), measure: measure.to_owned(), values };
        eprintln!("{repetition} {:<16} {:<18} {:?}", row.tool, row.measure, row.values);
        self.rows.push(row);
    }

    fn values(&self, tool: &str, measure: &str, value: &str) -> BTreeMap<u32, f64> {
        let is_it = |row: &&Row| row.tool == tool && row.measure == measure;
        self.rows
            .iter()
            .filter(is_it)
            .filter_map(|row| Some((row.repetition, *row.values.get(value)?)))
            .collect()
    }

    /// Adds the medians of both tools and of their ratio within each repetition.
    pub(super) fn summarize(&mut self, ours: &str, peer: &str, measure: &str, value: &str) {
        let (our_values, peer_values) =
            (self.values(ours, measure, value), self.values(peer, measure, value));
        let ratios =
            our_values.iter().filter_map(|(repetition, ours)| Some(ours / peer_values.get(repetition)?));
        let rows = [
            (format!("{measure}: {value}, {ours}"), median(our_values.values().copied())),
            (format!("{measure}: {value}, {peer}"), median(peer_values.values().copied())),
            (format!("{measure}: {value}, ratio"), median(ratios)),
        ];
        self.summary.extend(rows);
    }

    /// Adds one tool's median.
    pub(super) fn summarize_one(&mut self, tool: &str, measure: &str, value: &str) {
        let values = self.values(tool, measure, value);
        self.summary.insert(format!("{measure}: {value}, {tool}"), median(values.values().copied()));
    }

    pub(super) fn text(&self) -> String {
        self.summary.iter().map(|(name, value)| format!("{value:>12.3}  {name}\n")).collect()
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[count / 2],
        count => (sorted[count / 2 - 1] + sorted[count / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_repetition() {
        let mut comparison = Comparison::new("test");
        for (repetition, ours, peer) in [(1, 1.0, 2.0), (2, 8.0, 4.0), (3, 3.0, 4.0)] {
            comparison.row(repetition, "ours", "work", &[("cpu", ours)]);
            comparison.row(repetition, "peer", "work", &[("cpu", peer)]);
        }
        comparison.summarize("ours", "peer", "work", "cpu");
        assert_eq!(comparison.summary["work: cpu, ratio"], 0.75);
        assert_eq!(comparison.summary["work: cpu, ours"], 3.0);
    }
}
