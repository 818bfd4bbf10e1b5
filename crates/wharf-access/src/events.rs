//! `/events` and `/events/stream`: the log of everything that changed state, as a page and as server-sent events. Both take
//! the filters of [`filter`].
//!
//! The stream first listens, then reads what is stored after the last id that the client has seen, then passes on what
//! it hears, leaving out what it has sent already: so nothing is missed and nothing comes twice. A client that can't keep
//! up is served from the store again until it has caught up. Its memory is one page and the shared broadcast.

mod filter;

use std::collections::VecDeque;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use http::HeaderMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::{self, error::RecvError};
use wharf_http::{ApiError, sse};
use wharf_model::EventRecord;
use wharf_state::EventLog;

use self::filter::Filter;
use crate::{Error, Handle};

/// LIMIT: records of one answer, and records that a stream reads at a time.
const PAGE_MAX: usize = 1_000;
const PAGE_DEFAULT: usize = 200;
/// LIMIT: records that are looked through for those that a filter takes; the answer says where to go on.
const LOOKED_THROUGH_MAX: usize = 20_000;

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Page {
    /// Only records with a greater id; without it the newest ones.
    after: Option<u64>,
    /// Only records with a lower id, the newest of them: the page before.
    before: Option<u64>,
    /// How many at most; 200 without it, 1000 at most.
    limit: Option<usize>,
    #[serde(flatten)]
    filter: Filter,
}

/// `GET /events?after=&before=&limit=` and the filters: `{"events": […], "older": …}`, oldest first.
///
/// `older` goes into `before` for the page of what was before; it is `null` when there is nothing more. A page may have
/// fewer records than `limit`, or none, and still have an older one: only so many are looked through for one answer.
pub(crate) async fn list(
    State(handle): State<Handle>,
    Query(page): Query<Page>,
) -> Result<Json<serde_json::Value>, ApiError> {
    let limit = page.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX);
    let filter = page.filter.checked()?;
    let log = handle.events();
    if let Some(after) = page.after {
        let read = if filter.takes_all() { limit } else { LOOKED_THROUGH_MAX };
        let mut records = log.after(after, read).await.map_err(Error::from)?;
        records.retain(|record| filter.takes(&record.event));
        records.truncate(limit);
        let older = (after > 0).then(|| after + 1);
        return Ok(Json(json!({ "events": records, "older": older })));
    }
    let (records, older) = backwards(log, page.before, limit, &filter).await.map_err(Error::from)?;
    Ok(Json(json!({ "events": records, "older": older })))
}

/// At most `limit` records that the filter takes, the newest below `before`; and below which id more may be.
async fn backwards(
    log: &EventLog,
    before: Option<u64>,
    limit: usize,
    filter: &Filter,
) -> Result<(Vec<EventRecord>, Option<u64>), wharf_state::Error> {
    let mut found = VecDeque::new();
    let mut below = before.unwrap_or(u64::MAX);
    let mut looked_through = 0;
    while looked_through < LOOKED_THROUGH_MAX {
        let records = log.before(below, PAGE_MAX).await?;
        let is_first_page = records.len() < PAGE_MAX;
        looked_through += records.len();
        for record in records.into_iter().rev() {
            below = record.id;
            if filter.takes(&record.event) {
                found.push_front(record);
            }
            if found.len() == limit {
                return Ok((found.into(), (below > 1).then_some(below)));
            }
        }
        if is_first_page {
            return Ok((found.into(), None));
        }
    }
    Ok((found.into(), Some(below)))
}

/// `GET /events/stream?after=` and the filters: every record as `id:` and `data:`. Goes on after `Last-Event-ID`, else after
/// `after`, else with what happens from now on.
pub(crate) async fn stream(
    State(handle): State<Handle>,
    Query(page): Query<Page>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let filter = page.filter.checked()?;
    let permit = handle.stream_permit()?;
    let live = handle.events().subscribe();
    let resumed = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let (last, is_behind) = match resumed.or(page.after) {
        Some(after) => (after, true),
        None => (0, false),
    };
    let log = handle.events().clone();
    let feed = Feed { log, live, waiting: VecDeque::new(), last, is_behind, filter, _permit: permit };
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
    filter: Filter,
    _permit: OwnedSemaphorePermit,
}

impl Feed {
    /// The next record; `None` ends the stream and the client comes again with the last id.
    async fn next(&mut self) -> Option<EventRecord> {
        loop {
            if let Some(record) = self.waiting.pop_front() {
                self.last = record.id;
                if self.filter.takes(&record.event) {
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
