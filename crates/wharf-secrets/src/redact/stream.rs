//! Redaction of output that comes in chunks.
//!
//! The end of what has come is held back as long as a value may have begun in it. So at most the longest form is late,
//! most output not at all, and a value is found wherever chunks cut it.

use zeroize::Zeroizing;

use super::{MARK, Redactor};

/// State of one stream. Values that the redactor learns meanwhile are looked for from then on.
pub struct RedactedStream {
    redactor: Redactor,
    pending: Zeroizing<Vec<u8>>,
    /// So many of the first pending bytes belong to a value whose mark is out already.
    covered: usize,
    /// The last byte that was passed on belonged to a value.
    is_in_mark: bool,
}

impl RedactedStream {
    pub(super) fn new(redactor: Redactor) -> RedactedStream {
        RedactedStream { redactor, pending: Zeroizing::default(), covered: 0, is_in_mark: false }
    }

    /// Takes a chunk; what can be shown goes to `out`.
    pub fn push(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        self.pending.extend_from_slice(chunk);
        let held = self.redactor.matcher().map_or(0, |matcher| matcher.open_end(&self.pending));
        let safe = self.pending.len() - held;
        self.pass(safe, out);
    }

    /// Whether something is held back.
    pub fn is_holding(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Gives out what is held back, because somebody waits for it. A value that goes on later is not found then.
    pub fn flush(&mut self, out: &mut Vec<u8>) {
        self.pass(self.pending.len(), out);
    }

    /// Nothing comes any more: all goes to `out`.
    pub fn finish(mut self, out: &mut Vec<u8>) {
        self.flush(out);
    }

    /// Passes the first `safe` bytes on. No value that begins before them is cut by the end of what is pending.
    fn pass(&mut self, safe: usize, out: &mut Vec<u8>) {
        let mut ranges = match self.redactor.matcher() {
            Some(matcher) => matcher.covered(&self.pending),
            None => Vec::new(),
        };
        if self.covered > 0 {
            ranges.insert(0, 0..self.covered);
        }
        // A chunk too small to pass anything on must not forget what is covered.
        let (mut at, mut covered_to) = (0, self.covered);
        for range in ranges {
            let start = range.start.min(safe);
            if start > at {
                out.extend_from_slice(&self.pending[at..start]);
                self.is_in_mark = false;
                at = start;
            }
            if range.start >= safe {
                break;
            }
            if !self.is_in_mark {
                out.extend_from_slice(MARK.as_bytes());
                self.is_in_mark = true;
            }
            covered_to = range.end.max(covered_to);
            at = range.end.min(safe).max(at);
        }
        if at < safe {
            self.is_in_mark = false;
            out.extend_from_slice(&self.pending[at..safe]);
        }
        self.covered = covered_to.saturating_sub(safe);
        self.pending.drain(..safe);
    }
}
