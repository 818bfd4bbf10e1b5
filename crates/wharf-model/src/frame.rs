//! Frames of a call: a byte that names the channel, then what was sent on it.
//!
//! Channels are those of Kubernetes' `v5.channel.k8s.io`, which terminals in browsers know: 0 standard input, 1 standard
//! output, 2 standard error, 3 status (JSON), 4 size of the terminal (JSON), 255 end of a channel; 5, a signal's name, is
//! ours. A WebSocket message is one frame; on a plain stream (between agent and server) the length comes first, four
//! bytes, big-endian. An empty frame is nothing.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_base::ErrorCode;

/// LIMIT: bytes of a frame. Pipes and terminals hand over at most 64 KiB at a time; a status has no more than a log tail.
pub const FRAME_BYTES_MAX: usize = 128 << 10;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Bytes for standard input.
    Stdin(Bytes),
    /// Bytes of standard output; with a terminal, everything that is to be shown.
    Stdout(Bytes),
    /// Bytes of standard error.
    Stderr(Bytes),
    /// How it stands.
    Status(Status),
    /// The terminal has another size.
    Resize(Size),
    /// A signal for the command: `INT`, `TERM`.
    Signal(String),
    /// Standard input has ended.
    StdinEnd,
}

/// How a call stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// The command runs.
    Started {
        /// Instance, or the name of the one-off container.
        instance: String,
        /// Host.
        host: String,
    },
    /// The command has ended; nothing follows.
    Exited {
        /// Its exit status.
        code: i64,
    },
    /// It could not be done, or not to its end; nothing follows.
    Failed {
        /// What kind.
        code: ErrorCode,
        /// What was tried and what went wrong; may end with `hint: …`.
        message: String,
    },
}

/// Size of a terminal in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Size {
    /// Lines.
    pub rows: u16,
    /// Characters of a line.
    pub columns: u16,
}

/// Bytes that are no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no frame of a call: {0}")]
pub struct FrameError(String);

const CLOSE: u8 = 255;

impl Frame {
    /// As a WebSocket message: channel and payload.
    pub fn encode(&self) -> Bytes {
        let json = |value: serde_json::Result<Vec<u8>>| value.expect("plain records are JSON");
        let (channel, payload): (u8, Bytes) = match self {
            Frame::Stdin(bytes) => (0, bytes.clone()),
            Frame::Stdout(bytes) => (1, bytes.clone()),
            Frame::Stderr(bytes) => (2, bytes.clone()),
            Frame::Status(status) => (3, json(serde_json::to_vec(status)).into()),
            Frame::Resize(size) => (4, json(serde_json::to_vec(size)).into()),
            Frame::Signal(name) => (5, name.clone().into()),
            Frame::StdinEnd => (CLOSE, Bytes::from_static(&[0])),
        };
        let mut message = BytesMut::with_capacity(1 + payload.len());
        message.put_u8(channel);
        message.put(payload);
        message.freeze()
    }

    /// For a plain stream: the same after its length.
    pub fn encode_with_length(&self) -> Bytes {
        let message = self.encode();
        let mut framed = BytesMut::with_capacity(4 + message.len());
        framed.put_u32(u32::try_from(message.len()).expect("frames are short"));
        framed.put(message);
        framed.freeze()
    }

    /// Reads a message. `None`: it is empty, or on a channel that a later version has.
    ///
    /// Errors: JSON or text that can't be read.
    pub fn decode(mut message: Bytes) -> Result<Option<Frame>, FrameError> {
        if message.is_empty() {
            return Ok(None);
        }
        let channel = message.get_u8();
        let wrong = |error: serde_json::Error| FrameError(format!("channel {channel}: {error}"));
        Ok(Some(match channel {
            0 => Frame::Stdin(message),
            1 => Frame::Stdout(message),
            2 => Frame::Stderr(message),
            3 => Frame::Status(serde_json::from_slice(&message).map_err(wrong)?),
            4 => Frame::Resize(serde_json::from_slice(&message).map_err(wrong)?),
            5 => match std::str::from_utf8(&message) {
                Ok(name) => Frame::Signal(name.to_owned()),
                Err(error) => return Err(FrameError(format!("channel 5: {error}"))),
            },
            CLOSE if message[..] == [0] => Frame::StdinEnd,
            _ => return Ok(None),
        }))
    }

    /// A status that says what went wrong.
    pub fn failed(code: ErrorCode, message: impl Into<String>) -> Frame {
        Frame::Status(Status::Failed { code, message: message.into() })
    }
}

/// Takes frames off a plain stream as its bytes arrive.
#[derive(Debug, Default)]
pub struct Reader {
    buffer: BytesMut,
}

impl Reader {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame; `None` until more bytes have come. Call it until then after each `push`: what it holds is
    /// at most one frame and one push.
    ///
    /// Errors: a frame longer than [`FRAME_BYTES_MAX`], or one that can't be read; the stream is lost then.
    pub fn frame(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            let Some((head, _)) = self.buffer.split_first_chunk::<4>() else { return Ok(None) };
            let length = u32::from_be_bytes(*head) as usize;
            if length > FRAME_BYTES_MAX {
                return Err(FrameError(format!("{length} bytes; at most {FRAME_BYTES_MAX}")));
            }
            if self.buffer.len() < 4 + length {
                return Ok(None);
            }
            self.buffer.advance(4);
            if let Some(frame) = Frame::decode(self.buffer.split_to(length).freeze())? {
                return Ok(Some(frame));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Frame> {
        vec![
            Frame::Stdin(Bytes::from_static(b"a\0\xff")),
            Frame::Stdout(Bytes::new()),
            Frame::Stderr(Bytes::from_static(b"warning\n")),
            Frame::Status(Status::Started { instance: "shop-web-r1-1".to_owned(), host: "one".to_owned() }),
            Frame::Status(Status::Exited { code: 137 }),
            Frame::failed(ErrorCode::NotFound, "gone"),
            Frame::Resize(Size { rows: 24, columns: 80 }),
            Frame::Signal("INT".to_owned()),
            Frame::StdinEnd,
        ]
    }

    #[test]
    fn what_is_written_is_read_back_in_pieces_of_any_size() {
        let bytes: Vec<u8> = all().iter().flat_map(|frame| frame.encode_with_length().to_vec()).collect();
        for size in [1, 2, 5, bytes.len()] {
            let (mut reader, mut frames) = (Reader::default(), Vec::new());
            for piece in bytes.chunks(size) {
                reader.push(piece);
                while let Some(frame) = reader.frame().unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames, all(), "in pieces of {size}");
        }
    }

    #[test]
    fn unknown_channels_are_passed_over_and_damage_is_an_error() {
        assert_eq!(Frame::decode(Bytes::new()), Ok(None));
        assert_eq!(Frame::decode(Bytes::from_static(&[77, 1, 2])), Ok(None));
        assert_eq!(Frame::decode(Bytes::from_static(&[255, 1])), Ok(None));
        assert!(Frame::decode(Bytes::from_static(b"\x03{")).is_err());
        assert!(Frame::decode(Bytes::from_static(b"\x05\xff")).is_err());
        let mut reader = Reader::default();
        reader.push(&[0xff, 0, 0, 0]);
        assert!(reader.frame().is_err());
    }

    #[test]
    fn a_status_is_what_the_documentation_says() {
        let text = |frame: Frame| String::from_utf8(frame.encode()[1..].to_vec()).unwrap();
        assert_eq!(text(Frame::Status(Status::Exited { code: 3 })), r#"{"exited":{"code":3}}"#);
        assert_eq!(
            text(Frame::failed(ErrorCode::NotFound, "gone")),
            r#"{"failed":{"code":"not_found","message":"gone"}}"#
        );
        assert_eq!(text(Frame::Resize(Size { rows: 24, columns: 80 })), r#"{"rows":24,"columns":80}"#);
    }
}
