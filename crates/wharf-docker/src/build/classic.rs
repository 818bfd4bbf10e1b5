//! The classic builder's output: `Step 2/3 : COPY x /x`, then what the step prints, as pieces of text.

use std::collections::VecDeque;

use crate::build::TAIL_LINES;
use crate::json_stream::Message;
use crate::output::clean;

/// LIMIT: an unfinished line longer than this is printed as it is.
const PARTIAL_SIZE_MAX: usize = 8 * 1024;

#[derive(Default)]
pub(crate) struct Transcript {
    partial: String,
    step: Option<String>,
    tail: VecDeque<String>,
}

impl Transcript {
    /// Takes in one message and returns the lines that are complete now.
    pub(crate) fn update(&mut self, message: &Message) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(text) = &message.stream {
            let mut rest = text.as_str();
            while let Some((line, after)) = rest.split_once('\n') {
                let line = std::mem::take(&mut self.partial) + line;
                self.keep(&line, &mut lines);
                rest = after;
            }
            self.partial.push_str(rest);
            if self.partial.len() > PARTIAL_SIZE_MAX {
                let line = std::mem::take(&mut self.partial);
                self.keep(&line, &mut lines);
            }
        }
        // A pull of the base image; the moving bars have progressDetail and the same words again and again.
        if let Some(status) = &message.status
            && !matches!(status.as_str(), "Downloading" | "Extracting" | "Waiting" | "Verifying Checksum")
        {
            lines.push(match &message.id {
                Some(id) => format!("{}: {}", clean(id), clean(status)),
                None => clean(status),
            });
        }
        lines
    }

    /// The instruction that ran last and what it printed.
    pub(crate) fn failed_step(&self) -> (Option<String>, Vec<String>) {
        (self.step.clone(), self.tail.iter().cloned().collect())
    }

    fn keep(&mut self, line: &str, lines: &mut Vec<String>) {
        let line = clean(line);
        if line.trim().is_empty() {
            return;
        }
        if let Some(step) = step_name(&line) {
            self.step = Some(step);
            self.tail.clear();
        } else if !line.starts_with(" ---> ") && !line.starts_with("Removing intermediate container") {
            if self.tail.len() == TAIL_LINES {
                self.tail.pop_front();
            }
            self.tail.push_back(line.clone());
        }
        lines.push(line);
    }
}

/// `Step 2/3 : RUN make` as BuildKit would name it: `[2/3] RUN make`.
fn step_name(line: &str) -> Option<String> {
    let (place, instruction) = line.strip_prefix("Step ")?.split_once(" : ")?;
    let is_place = place.bytes().all(|byte| byte.is_ascii_digit() || byte == b'/');
    is_place.then(|| format!("[{place}] {instruction}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn step_and_its_output_are_remembered() {
        let mut transcript = Transcript::default();
        let mut lines = Vec::new();
        for piece in [
            "Step 1/2 : FROM scratch\n",
            " ---> \n",
            "Step 2/2 : RUN [\"/x\"]\n",
            " ---> Running in 1\n",
            "o",
            "ne\ntwo\n",
        ] {
            lines
                .extend(transcript.update(&Message { stream: Some(piece.to_owned()), ..Message::default() }));
        }
        assert_eq!(
            lines,
            [
                "Step 1/2 : FROM scratch",
                " ---> ",
                "Step 2/2 : RUN [\"/x\"]",
                " ---> Running in 1",
                "one",
                "two"
            ]
        );
        let (step, tail) = transcript.failed_step();
        assert_eq!(step.as_deref(), Some("[2/2] RUN [\"/x\"]"));
        assert_eq!(tail, ["one", "two"]);
    }
}
