//! Where the lines of a build go.

use std::time::Duration;

use tokio::sync::mpsc;

/// LIMIT: a longer line is cut, so that a binary printed by a step can't fill memory.
const LINE_SIZE_MAX: usize = 8 * 1024;

/// A reader that takes nothing for this long is treated as gone for the line at hand.
const READER_PATIENCE: Duration = Duration::from_secs(2);

/// Lines of output for a reader that may be slow or gone. A slow reader holds the build back for at most two
/// seconds per stall; then lines are left out, counted, and the count is told in the output itself.
pub struct Output {
    sender: Option<mpsc::Sender<String>>,
    untold: u64,
    left_out: u64,
}

impl Output {
    /// Sends lines to `sender`.
    pub fn to(sender: mpsc::Sender<String>) -> Output {
        Output { sender: Some(sender), untold: 0, left_out: 0 }
    }

    /// Drops every line.
    pub fn discard() -> Output {
        Output { sender: None, untold: 0, left_out: 0 }
    }

    /// How many lines a slow reader did not get.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Hands over one line. Control characters but tabs are dropped, terminal colours with them.
    pub async fn line(&mut self, line: &str) {
        let Some(sender) = self.sender.clone() else { return };
        if self.untold > 0 {
            let note = format!("… {} lines left out, the reader is slow", self.untold);
            if sender.try_send(note).is_err() {
                self.untold += 1;
                self.left_out += 1;
                return;
            }
            self.untold = 0;
        }
        match sender.send_timeout(clean(line), READER_PATIENCE).await {
            Ok(()) => {}
            Err(mpsc::error::SendTimeoutError::Closed(_)) => self.sender = None,
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                self.untold += 1;
                self.left_out += 1;
            }
        }
    }
}

/// One printable line: no escape sequences (ECMA-48 CSI), no other control characters, at most 8 KiB.
pub(crate) fn clean(line: &str) -> String {
    let mut text = String::with_capacity(line.len().min(LINE_SIZE_MAX));
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            if chars.next_if_eq(&'[').is_some() {
                // Parameters and intermediates end with one byte of 0x40 to 0x7e.
                while chars.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {}
            }
        } else if c == '\t' || !c.is_control() {
            text.push(c);
        }
        if text.len() >= LINE_SIZE_MAX {
            text.push('…');
            break;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_printable_and_short() {
        assert_eq!(clean("\u{1b}[1;31mred\u{1b}[0m\tx\r\u{7}"), "red\tx");
        assert_eq!(clean(&"a".repeat(100_000)).len(), LINE_SIZE_MAX + '…'.len_utf8());
    }

    #[tokio::test(start_paused = true)]
    async fn slow_reader_loses_lines_and_is_told() {
        let (sender, mut receiver) = mpsc::channel(1);
        let mut output = Output::to(sender);
        for line in ["one", "two", "three"] {
            output.line(line).await;
        }
        assert_eq!(output.left_out(), 2);
        assert_eq!(receiver.recv().await.unwrap(), "one");
        let more = async {
            output.line("four").await;
            output
        };
        let (output, lines) =
            tokio::join!(more, async { [receiver.recv().await.unwrap(), receiver.recv().await.unwrap()] });
        assert_eq!(lines, ["… 2 lines left out, the reader is slow", "four"]);
        assert_eq!(output.left_out(), 2);
    }

    #[tokio::test]
    async fn reader_that_is_gone_costs_nothing() {
        let (sender, receiver) = mpsc::channel(1);
        drop(receiver);
        let mut output = Output::to(sender);
        output.line("one").await;
        output.line("two").await;
        assert_eq!(output.left_out(), 0);
    }
}
