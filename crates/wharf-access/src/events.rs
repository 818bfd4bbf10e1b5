//! `/events` and `/events/stream`: the log of everything that changed state, as a page and as server-sent events.
//!
//! The stream first listens, then reads what is stored after the last id that the client has seen, then passes on what
//! it hears, leaving out what it has sent already: so nothing is missed and nothing comes twice. A client that can't keep
//! up is served from the store again until it has caught up. Its memory is one page and the shared broadcast.

use std::collections::VecDeque;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::{self, error::RecvError};
use wharf_http::{ApiError, sse};
use wharf_model::{Event, EventRecord};
use wharf_state::EventLog;

use crate::{Error, Handle};

/// LIMIT: records of one answer, and records that a stream reads at a time.
const PAGE_MAX: usize = 1_000;
const PAGE_DEFAULT: usize = 200;
/// LIMIT: newest records that are looked through for those that are no build output.
const LOOKED_THROUGH_MAX: usize = 20_000;

#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    /// Only records with a greater id; without it the newest ones.
    after: Option<u64>,
    limit: Option<usize>,
    /// `false` leaves out lines of build output.
    output: Option<bool>,
}

impl Page {
    fn takes(&self, record: &EventRecord) -> bool {
        self.output.unwrap_or(true) || !matches!(record.event, Event::DeployOutput { .. })
    }
}

/// `GET /events?after=&limit=&output=`: `{"events": […]}`, oldest first.
pub(crate) async fn list(
    State(handle): State<Handle>,
    Query(page): Query<Page>,
) -> Result<Json<serde_json::Value>, ApiError> {
    let limit = page.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let read = if page.output == Some(false) { LOOKED_THROUGH_MAX } else { limit };
    let log = handle.events();
    let records = match page.after {
        Some(after) => log.after(after, read).await,
        None => log.newest(read).await,
    };
    let mut records = records.map_err(Error::from)?;
    records.retain(|record| page.takes(record));
    if page.after.is_some() {
        records.truncate(limit);
    } else {
        records.drain(..records.len().saturating_sub(limit));
    }
    Ok(Json(json!({ "events": records })))
}

/// `GET /events/stream?after=&output=`: every record as `id:` and `data:`. Goes on after `Last-Event-ID`, else after
/// `after`, else with what happens from now on.
pub(crate) async fn stream(
    State(handle): State<Handle>,
    Query(page): Query<Page>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let permit = handle.stream_permit()?;
    let live = handle.events().subscribe();
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let (last, is_behind) = match resumed.or(page.after) {
        Some(after) => (after, true),
        None => (0, false),
    };
    let log = handle.events().clone();
    let feed = Feed { log, live, waiting: VecDeque::new(), last, is_behind, page, _permit: permit };
    let records = stream::unfold(feed, |mut feed| async move {
        let record = feed.next().await?;
        Some((event(&record), feed))
    });
    let until_stop = records.take_until(handle.shutdown().cancelled_owned());
    Ok(sse::response(until_stop))
}

fn event(record: &EventRecord) -> sse::Event {
    let data = serde_json::to_string(record).expect("events are plain data");
    sse::Event { name: None, id: Some(record.id.to_string()), data }
}

struct Feed {
    log: EventLog,
    live: broadcast::Receiver<EventRecord>,
    waiting: VecDeque<EventRecord>,
    last: u64,
    is_behind: bool,
    page: Page,
    _permit: OwnedSemaphorePermit,
}

impl Feed {
    /// The next record; `None` ends the stream and the client comes again with the last id.
    async fn next(&mut self) -> Option<EventRecord> {
        loop {
            if let Some(record) = self.waiting.pop_front() {
                self.last = record.id;
                if self.page.takes(&record) {
                    return Some(record);
                }
                continue;
            }
            if self.is_behind {
                match self.log.after(self.last, PAGE_MAX).await {
                    Ok(records) => {
                        self.is_behind = records.len() == PAGE_MAX;
                        self.waiting = records.into();
                    }
                    Err(error) => {
                        tracing::warn!(%error, "an event stream ends: the log can't be read");
                        return None;
                    }
                }
                continue;
            }
            match self.live.recv().await {
                Ok(record) if record.id > self.last => self.waiting.push_back(record),
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => self.is_behind = true,
                Err(RecvError::Closed) => return None,
            }
        }
    }
}
