//! BuildKit's progress as the lines that `docker build --progress=plain` prints.
//!
//! Steps are numbered as they begin. What a step prints is cut into lines, each with the seconds since the step
//! began. Memory: the unfinished line and the last twenty lines of each step.
//! Source of the form: moby/buildkit `util/progress/progressui/printer.go`.

use std::collections::{BTreeMap, VecDeque};

use crate::build::TAIL_LINES;
use crate::build::trace::{Status, Timestamp, Vertex, VertexLog, VertexStatus};
use crate::output::clean;

/// LIMIT: an unfinished line longer than this is printed as it is.
const PARTIAL_SIZE_MAX: usize = 8 * 1024;

/// LIMIT: steps of one build that are told apart; a Dockerfile of 1,000 lines stays below.
const STEPS_MAX: usize = 10_000;

#[derive(Default)]
pub(crate) struct Progress {
    steps: BTreeMap<String, Step>,
    shown: usize,
}

#[derive(Default)]
struct Step {
    name: String,
    /// Number shown; 0 until the step has begun.
    number: usize,
    started: Option<Timestamp>,
    is_done: bool,
    has_failed: bool,
    partial: Vec<u8>,
    tail: VecDeque<String>,
    /// Parts whose end was printed.
    parts_done: Vec<String>,
}

impl Progress {
    /// Takes in one message and returns the lines that it makes.
    pub(crate) fn update(&mut self, status: Status) -> Vec<String> {
        let mut lines = Vec::new();
        let (ended, begun): (Vec<Vertex>, Vec<Vertex>) =
            status.vertexes.into_iter().partition(|vertex| vertex.completed.is_some());
        for vertex in begun.iter().chain(&ended) {
            self.begin(vertex, &mut lines);
        }
        for part in &status.statuses {
            self.part(part, &mut lines);
        }
        for log in &status.logs {
            self.log(log, &mut lines);
        }
        for vertex in &ended {
            self.end(vertex, &mut lines);
        }
        for warning in &status.warnings {
            lines.push(format!("WARNING: {}", String::from_utf8_lossy(&warning.short)));
        }
        lines
    }

    /// Name and last lines of the step that failed.
    pub(crate) fn failed_step(&self) -> (Option<String>, Vec<String>) {
        match self.steps.values().find(|step| step.has_failed) {
            Some(step) => (Some(step.name.clone()), step.tail.iter().cloned().collect()),
            None => (None, Vec::new()),
        }
    }

    fn begin(&mut self, vertex: &Vertex, lines: &mut Vec<String>) {
        if self.steps.len() >= STEPS_MAX && !self.steps.contains_key(&vertex.digest) {
            return;
        }
        let step = self.steps.entry(vertex.digest.clone()).or_default();
        step.name = clean(&vertex.name);
        if vertex.started.is_some() && step.number == 0 {
            self.shown += 1;
            step.number = self.shown;
            lines.push(format!("#{} {}", step.number, step.name));
        }
        if vertex.started.is_some() && step.started != vertex.started {
            // A step may be suspended and begin again, for instance FROM when its layers are pulled only later.
            step.started = vertex.started;
            step.is_done = false;
        }
    }

    fn end(&mut self, vertex: &Vertex, lines: &mut Vec<String>) {
        let Some(step) = self.steps.get_mut(&vertex.digest) else { return };
        if step.number == 0 || step.is_done {
            return;
        }
        step.is_done = true;
        if !step.partial.is_empty() {
            let rest = std::mem::take(&mut step.partial);
            step.print(&rest, vertex.completed, lines);
        }
        let number = step.number;
        if vertex.cached {
            lines.push(format!("#{number} CACHED"));
        } else if !vertex.error.is_empty() {
            step.has_failed = true;
            lines.push(format!("#{number} ERROR: {}", crate::error::tidy(&vertex.error)));
        } else {
            lines.push(format!("#{number} DONE {:.1}s", seconds(step.started, vertex.completed)));
        }
    }

    /// Only the end of a part is told: a terminal may draw bars, lines may not.
    fn part(&mut self, part: &VertexStatus, lines: &mut Vec<String>) {
        let Some(step) = self.steps.get_mut(&part.vertex) else { return };
        if part.completed.is_none() || step.number == 0 || step.parts_done.contains(&part.id) {
            return;
        }
        // LIMIT: an image of more layers tells the ends of the first 256.
        if step.parts_done.len() < 256 {
            step.parts_done.push(part.id.clone());
            let size = if part.current > 0 { format!(" {}", size_text(part.current)) } else { String::new() };
            let seconds = seconds(part.started, part.completed);
            let id = clean(&part.id);
            lines.push(format!("#{} {id}{size} {seconds:.1}s done", step.number));
        }
    }

    fn log(&mut self, log: &VertexLog, lines: &mut Vec<String>) {
        let Some(step) = self.steps.get_mut(&log.vertex) else { return };
        let mut rest = log.data.as_slice();
        while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
            let mut line = std::mem::take(&mut step.partial);
            line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            step.print(&line, log.timestamp, lines);
        }
        step.partial.extend_from_slice(rest);
        if step.partial.len() > PARTIAL_SIZE_MAX {
            let line = std::mem::take(&mut step.partial);
            step.print(&line, log.timestamp, lines);
        }
    }
}

impl Step {
    fn print(&mut self, line: &[u8], at: Option<Timestamp>, lines: &mut Vec<String>) {
        let text = clean(&String::from_utf8_lossy(line));
        lines.push(format!("#{} {:.3} {text}", self.number, seconds(self.started, at)));
        if self.tail.len() == TAIL_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(text);
    }
}

fn seconds(from: Option<Timestamp>, to: Option<Timestamp>) -> f64 {
    match (from, to) {
        (Some(from), Some(to)) => to.since(from),
        _ => 0.0,
    }
}

/// Decimal units, as BuildKit prints them: `2B`, `10.3kB`, `4.87MB`.
fn size_text(bytes: i64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return format!("{}{unit}", (value * 100.0).round() / 100.0);
        }
        value /= 1000.0;
    }
    format!("{}TB", (value * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Option<Timestamp> {
        Some(Timestamp { seconds: 100 + millis / 1000, nanos: (millis % 1000) as i32 * 1_000_000 })
    }

    fn vertex(digest: &str, name: &str, started: Option<i64>, completed: Option<i64>) -> Vertex {
        Vertex {
            digest: digest.to_owned(),
            name: name.to_owned(),
            started: started.and_then(at),
            completed: completed.and_then(at),
            ..Vertex::default()
        }
    }

    fn log(digest: &str, millis: i64, text: &str) -> VertexLog {
        VertexLog { vertex: digest.to_owned(), timestamp: at(millis), data: text.as_bytes().to_vec() }
    }

    fn check(messages: Vec<Status>, expected: &[&str]) -> Progress {
        let mut progress = Progress::default();
        let lines: Vec<String> = messages.into_iter().flat_map(|message| progress.update(message)).collect();
        assert_eq!(lines, expected);
        progress
    }

    #[test]
    fn steps_are_numbered_as_they_begin() {
        check(
            vec![
                Status { vertexes: vec![vertex("a", "[1/2] FROM x", None, None)], ..Status::default() },
                Status { vertexes: vec![vertex("b", "[internal] load", Some(0), None)], ..Status::default() },
                Status {
                    vertexes: vec![vertex("b", "[internal] load", Some(0), Some(240))],
                    ..Status::default()
                },
                Status {
                    vertexes: vec![Vertex {
                        cached: true,
                        ..vertex("a", "[1/2] FROM x", Some(300), Some(300))
                    }],
                    ..Status::default()
                },
            ],
            &["#1 [internal] load", "#1 DONE 0.2s", "#2 [1/2] FROM x", "#2 CACHED"],
        );
    }

    #[test]
    fn output_is_cut_into_lines_with_times() {
        check(
            vec![
                Status { vertexes: vec![vertex("a", "RUN x", Some(0), None)], ..Status::default() },
                Status {
                    logs: vec![log("a", 50, "one\ntw"), log("a", 1200, "o\nthree")],
                    ..Status::default()
                },
                Status { vertexes: vec![vertex("a", "RUN x", Some(0), Some(1300))], ..Status::default() },
            ],
            &["#1 RUN x", "#1 0.050 one", "#1 1.200 two", "#1 1.300 three", "#1 DONE 1.3s"],
        );
    }

    #[test]
    fn failed_step_is_known_with_its_last_lines() {
        let text: String = (0..30).map(|line| format!("line {line}\n")).collect();
        let mut progress = Progress::default();
        progress.update(Status {
            vertexes: vec![vertex("a", "[2/2] RUN x", Some(0), None)],
            ..Status::default()
        });
        progress.update(Status { logs: vec![log("a", 10, &text)], ..Status::default() });
        let failed =
            Vertex { error: "exit code: 1".to_owned(), ..vertex("a", "[2/2] RUN x", Some(0), Some(20)) };
        let lines = progress.update(Status { vertexes: vec![failed], ..Status::default() });
        assert_eq!(lines, ["#1 ERROR: exit code: 1"]);
        let (step, tail) = progress.failed_step();
        assert_eq!(step.as_deref(), Some("[2/2] RUN x"));
        assert_eq!((tail.len(), tail[0].as_str(), tail[19].as_str()), (20, "line 10", "line 29"));
    }

    #[test]
    fn parts_are_told_once_at_their_end() {
        let part = |completed: Option<i64>| VertexStatus {
            id: "transferring context:".to_owned(),
            vertex: "a".to_owned(),
            current: 4_870_000,
            started: at(0),
            completed: completed.and_then(at),
        };
        check(
            vec![
                Status { vertexes: vec![vertex("a", "load", Some(0), None)], ..Status::default() },
                Status { statuses: vec![part(None)], ..Status::default() },
                Status { statuses: vec![part(Some(120)), part(Some(120))], ..Status::default() },
            ],
            &["#1 load", "#1 transferring context: 4.87MB 0.1s done"],
        );
    }

    #[test]
    fn endless_line_is_printed_in_pieces() {
        let mut progress = Progress::default();
        progress.update(Status { vertexes: vec![vertex("a", "RUN", Some(0), None)], ..Status::default() });
        let mut count = 0;
        for _ in 0..100 {
            count += progress
                .update(Status { logs: vec![log("a", 1, &"x".repeat(1000))], ..Status::default() })
                .len();
        }
        assert!(count >= 10, "{count}");
        assert!(progress.steps["a"].partial.len() <= PARTIAL_SIZE_MAX);
    }
}
