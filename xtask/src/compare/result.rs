//! What a comparison writes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

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

/// What an earlier comparison has written, as far as it is kept.
#[derive(Deserialize)]
pub(super) struct Earlier {
    versions: BTreeMap<String, String>,
    commands: Vec<String>,
    rows: Vec<Row>,
    summary: BTreeMap<String, f64>,
}

/// One measured run.
#[derive(Clone, Serialize, Deserialize)]
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

    /// Takes over what an earlier run of the topic measured and this one did not.
    pub(super) fn keep(&mut self, earlier: Earlier) {
        let is_new = |measure: &str| self.rows.iter().any(|row| row.measure == measure);
        let kept: Vec<Row> = earlier.rows.into_iter().filter(|row| !is_new(&row.measure)).collect();
        let measures: Vec<String> = kept.iter().map(|row| format!("{}: ", row.measure)).collect();
        let is_kept = |name: &String| measures.iter().any(|measure| name.starts_with(measure.as_str()));
        self.summary.extend(earlier.summary.into_iter().filter(|(name, _)| is_kept(name)));
        for (tool, version) in earlier.versions {
            self.versions.entry(tool).or_insert(version);
        }
        let new: Vec<String> = std::mem::take(&mut self.commands);
        self.commands = earlier.commands.into_iter().filter(|one| !new.contains(one)).collect();
        self.commands.extend(new);
        self.rows.splice(0..0, kept);
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
    fn what_was_not_measured_again_is_kept() {
        let mut comparison = Comparison::new("test");
        comparison.commands.push("new".to_owned());
        comparison.row(1, "ours", "work", &[("cpu", 2.0)]);
        comparison.summarize_one("ours", "work", "cpu");
        let earlier = serde_json::json!({
            "versions": { "peer": "1" }, "commands": ["old", "new"],
            "rows": [
                { "repetition": 1, "tool": "ours", "measure": "work", "values": { "cpu": 9.0 } },
                { "repetition": 1, "tool": "ours", "measure": "rest", "values": { "wall": 1.0 } },
            ],
            "summary": { "work: cpu, ours": 9.0, "rest: wall, ours": 1.0 },
        });
        comparison.keep(serde_json::from_value(earlier).unwrap());
        assert_eq!(
            comparison.summary,
            [("work: cpu, ours".to_owned(), 2.0), ("rest: wall, ours".to_owned(), 1.0)].into()
        );
        assert_eq!(
            comparison.rows.iter().map(|row| row.measure.as_str()).collect::<Vec<_>>(),
            ["rest", "work"]
        );
        assert_eq!((comparison.commands.len(), comparison.versions["peer"].as_str()), (2, "1"));
    }

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
