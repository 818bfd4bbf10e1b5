//! What people see of one deploy while it runs: steps and output, in order, kept for those who come late.
//!
//! Readers hold a position and wait for more; the list only grows, so no reader misses anything and none slows the
//! deploy down. LIMIT: build output beyond `lines_max` is counted and left out; a last line says how many.

use std::sync::Mutex;

use tokio::sync::watch;

use crate::api::{EndView, OutputView, StepView, StreamItem};
use crate::store::Progress;

/// The story of one deploy so far.
pub(crate) struct Journal {
    lines_max: usize,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    steps: Vec<StepView>,
    items: Vec<StreamItem>,
    lines: usize,
    lines_left_out: u64,
    is_closed: bool,
}

impl Journal {
    /// A journal that goes on after `items`.
    pub(crate) fn new(lines_max: usize, progress: Progress) -> Journal {
        let lines = progress.items.iter().filter(|item| matches!(item, StreamItem::Output(_))).count();
        let state = State { steps: progress.steps, items: progress.items, lines, ..State::default() };
        Journal { lines_max, state: Mutex::new(state), changed: watch::Sender::new(()) }
    }

    /// Begins a step, tells more about it, or ends it.
    pub(crate) fn step(&self, step: StepView) {
        self.change(|state| {
            match state.steps.last_mut().filter(|last| last.step == step.step && !last.ended) {
                Some(last) => *last = step.clone(),
                None => state.steps.push(step.clone()),
            }
            state.items.push(StreamItem::Step(step));
        });
    }

    /// Adds a line of output. Returns whether it was kept.
    pub(crate) fn output(&self, line: &str) -> bool {
        let lines_max = self.lines_max;
        let mut is_kept = true;
        self.change(|state| {
            is_kept = state.lines < lines_max;
            if is_kept {
                state.lines += 1;
                state.items.push(StreamItem::Output(OutputView { line: line.to_owned() }));
            } else {
                state.lines_left_out += 1;
            }
        });
        is_kept
    }

    /// Says how many lines were left out, if any were.
    pub(crate) fn end_of_output(&self) {
        self.change(|state| {
            if state.lines_left_out > 0 {
                let line = format!("… {} more lines were left out", state.lines_left_out);
                state.lines_left_out = 0;
                state.items.push(StreamItem::Output(OutputView { line }));
            }
        });
    }

    /// Writes the last item.
    pub(crate) fn end(&self, end: EndView) {
        self.change(|state| {
            state.items.push(StreamItem::End(end));
            state.is_closed = true;
        });
    }

    /// Lets readers go although the deploy has not ended: the server stops.
    pub(crate) fn close(&self) {
        self.change(|state| state.is_closed = true);
    }

    /// Steps and items so far.
    pub(crate) fn progress(&self) -> Progress {
        let state = self.state.lock().expect("no holder panics");
        Progress { steps: state.steps.clone(), items: state.items.clone() }
    }

    /// Steps so far.
    pub(crate) fn steps(&self) -> Vec<StepView> {
        self.state.lock().expect("no holder panics").steps.clone()
    }

    /// The step that has begun and not ended.
    pub(crate) fn open_step(&self) -> Option<StepView> {
        self.state.lock().expect("no holder panics").steps.last().filter(|last| !last.ended).cloned()
    }

    /// Items from `position` on, once there are any; `None` when there will be none.
    pub(crate) async fn next(&self, position: usize) -> Option<Vec<StreamItem>> {
        let mut changed = self.changed.subscribe();
        loop {
            {
                let state = self.state.lock().expect("no holder panics");
                if state.items.len() > position {
                    return Some(state.items[position..].to_vec());
                }
                if state.is_closed {
                    return None;
                }
            }
            // The sender is ours, so this can't fail while we are borrowed.
            changed.changed().await.ok()?;
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().expect("no holder panics"));
        self.changed.send_replace(());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(name: &str, ended: bool) -> StepView {
        StepView { step: name.to_owned(), detail: String::new(), ended, failed: false, millis: 0 }
    }

    #[tokio::test]
    async fn late_and_early_readers_see_the_same_story() {
        let journal = Journal::new(2, Progress::default());
        let early = async {
            let mut seen = Vec::new();
            while let Some(more) = journal.next(seen.len()).await {
                seen.extend(more);
            }
            seen
        };
        let writer = async {
            journal.step(step("build", false));
            for line in ["a", "b", "c", "d"] {
                journal.output(line);
                tokio::task::yield_now().await;
            }
            journal.end_of_output();
            journal.step(step("build", true));
            journal.close();
        };
        let (seen, ()) = tokio::join!(early, writer);
        assert_eq!(seen, journal.next(0).await.unwrap());
        assert_eq!(journal.steps(), [step("build", true)]);
        let line = |text: &str| StreamItem::Output(OutputView { line: text.to_owned() });
        assert_eq!(seen[1..4], [line("a"), line("b"), line("… 2 more lines were left out")]);
    }
}
