//! The Engine's progress streams: JSON values, one per line, errors among them.

use std::time::Duration;

use bytes::BytesMut;
use serde::Deserialize;
use serde_json::Value;

use crate::Error;
use crate::raw::Call;

/// LIMIT: BuildKit sends the whole output of a fast step as one base64 line; the Engine itself cuts steps at 1 MiB.
const LINE_SIZE_MAX: usize = 8 * 1024 * 1024;

/// One message of `POST /build` or `POST /images/NAME/push` (moby `pkg/jsonmessage`, `JSONMessage`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Message {
    pub(crate) id: Option<String>,
    pub(crate) stream: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) error: Option<String>,
    #[serde(rename = "errorDetail")]
    pub(crate) error_detail: Option<ErrorDetail>,
    pub(crate) aux: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ErrorDetail {
    pub(crate) message: Option<String>,
}

impl Message {
    /// The failure that this message tells of. The HTTP status was 200 long before.
    pub(crate) fn failure(&self) -> Option<&str> {
        let detail = self.error_detail.as_ref().and_then(|detail| detail.message.as_deref());
        detail.or(self.error.as_deref())
    }
}

/// Reads messages off an answer's body.
pub(crate) struct JsonStream {
    call: Call,
    buffer: BytesMut,
    doing: String,
    /// Longest silence; `None` for builds, where a step may compute for an hour without a word.
    idle: Option<Duration>,
}

impl JsonStream {
    pub(crate) fn new(call: Call, doing: &str, idle: Option<Duration>) -> JsonStream {
        JsonStream { call, buffer: BytesMut::new(), doing: doing.to_owned(), idle }
    }

    /// The next message; `None` when the stream has ended.
    pub(crate) async fn next(&mut self) -> Result<Option<Message>, Error> {
        let mut searched = 0;
        loop {
            if let Some(offset) = self.buffer[searched..].iter().position(|&byte| byte == b'\n') {
                let line = self.buffer.split_to(searched + offset + 1);
                searched = 0;
                if line.trim_ascii().is_empty() {
                    continue;
                }
                return self.parse(&line).map(Some);
            }
            searched = self.buffer.len();
            if searched > LINE_SIZE_MAX {
                return Err(Error::broken(
                    &self.doing,
                    format!("a line is longer than {LINE_SIZE_MAX} bytes"),
                ));
            }
            match self.chunk().await? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk),
                None if self.buffer.trim_ascii().is_empty() => return Ok(None),
                None => {
                    let rest = self.buffer.split();
                    return self.parse(&rest).map(Some);
                }
            }
        }
    }

    async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, Error> {
        let chunk = self.call.chunk();
        let chunk = match self.idle {
            Some(idle) => tokio::time::timeout(idle, chunk)
                .await
                .map_err(|_| Error::TimedOut { doing: self.doing.clone(), after: idle })?,
            None => chunk.await,
        };
        chunk.map_err(|error| Error::broken(&self.doing, error))
    }

    fn parse(&self, line: &[u8]) -> Result<Message, Error> {
        serde_json::from_slice(line).map_err(|error| Error::broken(&self.doing, error))
    }
}
