//! Server-sent events (WHATWG HTML, section 9.2), written and read.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::header;

/// One event to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Event name; `None` is `message`.
    pub name: Option<String>,
    /// Id for `Last-Event-ID`.
    pub id: Option<String>,
    /// Data; line breaks become several `data:` lines.
    pub data: String,
}

impl Event {
    /// An event with a name and a JSON document.
    ///
    /// Panics if `value` can't be JSON, which plain records can.
    pub fn json(name: &str, value: &impl serde::Serialize) -> Event {
        let data = serde_json::to_string(value).expect("plain records are JSON");
        Event { name: Some(name.to_owned()), id: None, data }
    }

    /// The same with an id.
    #[must_use]
    pub fn with_id(mut self, id: impl ToString) -> Event {
        self.id = Some(id.to_string());
        self
    }

    fn encode(&self) -> Bytes {
        let mut text = String::with_capacity(self.data.len() + 32);
        for (field, value) in [("event", &self.name), ("id", &self.id)] {
            if let Some(value) = value {
                text.push_str(&format!("{field}: {}\n", value.replace(['\n', '\r'], " ")));
            }
        }
        for line in self.data.split('\n') {
            text.push_str("data: ");
            text.push_str(line.trim_end_matches('\r'));
            text.push('\n');
        }
        text.push('\n');
        text.into()
    }
}

/// An answer that streams `events`, with a comment every 15 s so that proxies and both ends see that it lives.
pub fn response(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let beat = futures_util::stream::unfold((), |()| async {
        tokio::time::sleep(std::time::Duration::from_secs(15)).await;
        Some((None, ()))
    });
    let events = events.map(Some).chain(futures_util::stream::once(async { Some(end()) }));
    let merged = futures_util::stream::select(events, beat)
        .take_while(|event| {
            let is_end = event.as_ref().is_some_and(|event| *event == end());
            async move { !is_end }
        })
        .map(|event| {
            Ok::<_, std::convert::Infallible>(event.map_or(Bytes::from_static(b":\n\n"), |e| e.encode()))
        });
    Response::builder()
        .header(header::CONTENT_TYPE, "text/event-stream")
        .header(header::CACHE_CONTROL, "no-store")
        .header("x-accel-buffering", "no")
        .body(Body::from_stream(merged))
        .expect("the head is constant")
}

/// Marks the end of the events inside of [`response`]; a NUL can't be in an event's id.
fn end() -> Event {
    Event { name: None, id: Some("\0".to_owned()), data: String::new() }
}

/// Reads events from bytes as they arrive.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    event: Event,
    has_data: bool,
}

impl Parser {
    /// LIMIT: bytes of one line; a longer one is cut.
    const LINE_BYTES_MAX: usize = 1 << 20;

    /// Takes the next bytes and returns the events that they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for &byte in bytes {
            if byte != b'\n' {
                if self.line.len() < Self::LINE_BYTES_MAX {
                    self.line.push(byte);
                }
                continue;
            }
            let line = String::from_utf8_lossy(&self.line).trim_end_matches('\r').to_owned();
            self.line.clear();
            if line.is_empty() {
                if self.has_data {
                    events.push(std::mem::take(&mut self.event));
                }
                self.event = Event::default();
                self.has_data = false;
                continue;
            }
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => self.event.name = Some(value.to_owned()),
                "id" => self.event.id = Some(value.to_owned()),
                "data" => {
                    if self.has_data {
                        self.event.data.push('\n');
                    }
                    self.event.data.push_str(value);
                    self.has_data = true;
                }
                _ => {}
            }
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn what_is_written_is_read_back_and_the_stream_ends() {
        let events = vec![
            Event::json("step", &[1, 2]).with_id(7),
            Event { name: None, id: None, data: "two\nlines".to_owned() },
        ];
        let body = response(futures_util::stream::iter(events.clone())).into_body();
        let bytes = body.collect().await.unwrap().to_bytes();
        for size in [1, 3, bytes.len()] {
            let mut parser = Parser::default();
            let read: Vec<Event> = bytes.chunks(size).flat_map(|chunk| parser.push(chunk)).collect();
            assert_eq!(read, events, "in chunks of {size}");
        }
    }
}
