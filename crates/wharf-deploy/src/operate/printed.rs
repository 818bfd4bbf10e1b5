//! What a command prints, without the values of secrets: both of its streams, in frames.

use bytes::Bytes;
use wharf_model::Frame;
use wharf_model::frame::FRAME_BYTES_MAX;
use wharf_secrets::{RedactedStream, Redactor};

/// LIMIT: bytes of one frame's output: its kind takes a byte.
const PIECE_BYTES_MAX: usize = FRAME_BYTES_MAX / 2;

/// The state of both streams.
pub(super) struct Printed {
    stdout: RedactedStream,
    stderr: RedactedStream,
}

impl Printed {
    /// Nothing has been printed yet.
    pub(super) fn new() -> Printed {
        let redactor = Redactor::process();
        Printed { stdout: redactor.stream(), stderr: redactor.stream() }
    }

    /// Whether the end of something is held back.
    pub(super) fn is_holding(&self) -> bool {
        self.stdout.is_holding() || self.stderr.is_holding()
    }

    /// What can be shown once this frame has come. A frame that is no output comes after all that was held back.
    pub(super) fn pass(&mut self, frame: Frame) -> Vec<Frame> {
        let mut out = Vec::new();
        match frame {
            Frame::Stdout(bytes) => {
                self.stdout.push(&bytes, &mut out);
                frames(&out, Frame::Stdout)
            }
            Frame::Stderr(bytes) => {
                self.stderr.push(&bytes, &mut out);
                frames(&out, Frame::Stderr)
            }
            other => {
                let mut all = self.flush();
                all.push(other);
                all
            }
        }
    }

    /// Everything that is held back.
    pub(super) fn flush(&mut self) -> Vec<Frame> {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        self.stdout.flush(&mut out);
        self.stderr.flush(&mut err);
        [frames(&out, Frame::Stdout), frames(&err, Frame::Stderr)].concat()
    }
}

fn frames(bytes: &[u8], make: impl Fn(Bytes) -> Frame) -> Vec<Frame> {
    bytes.chunks(PIECE_BYTES_MAX).map(|piece| make(Bytes::copy_from_slice(piece))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wharf_model::frame::Status;
    use wharf_secrets::Secret;

    #[test]
    fn a_secret_is_taken_out_across_frames_and_nothing_is_lost() {
        Redactor::process().add([&Secret::from("xyzzy-plugh-42")]);
        let mut printed = Printed::new();
        let stdout = |text: &'static str| Frame::Stdout(Bytes::from(text));
        assert_eq!(printed.pass(stdout("value xyzzy-")), [stdout("value ")]);
        assert!(printed.is_holding());
        assert_eq!(printed.pass(Frame::Stderr(Bytes::from("!"))), [Frame::Stderr(Bytes::from("!"))]);
        assert_eq!(printed.pass(stdout("plugh-42\nxyz")), [stdout("[secret]\n")]);
        let end = Frame::Status(Status::Exited { code: 0 });
        assert_eq!(printed.pass(end.clone()), [stdout("xyz"), end]);
        let large = Bytes::from(vec![b'a'; FRAME_BYTES_MAX]);
        let pieces = printed.pass(Frame::Stdout(large));
        assert!(pieces.len() >= 2 && pieces.iter().all(|frame| matches!(frame, Frame::Stdout(_))));
    }
}
