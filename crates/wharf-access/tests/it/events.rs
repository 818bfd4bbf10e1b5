//! The event log as pages and as a stream.

use axum::body::Body;
use http_body_util::BodyExt;
use wharf_access::Config;
use wharf_http::sse::{self, Parser};
use wharf_model::Event;
use wharf_model::ports::EventSink;

use crate::fixture::{Fixture, first_token, request};

fn warning(number: u64) -> Event {
    Event::Warning { part: "test".to_owned(), message: number.to_string() }
}

fn output(number: u64) -> Event {
    Event::DeployOutput { deploy: 1, line: number.to_string() }
}

/// Emits and waits until the last one is stored.
async fn emit(server: &Fixture, events: impl IntoIterator<Item = Event>) {
    let mut heard = server.events.subscribe();
    let mut count = 0;
    for event in events {
        server.events.emit(event);
        count += 1;
    }
    for _ in 0..count {
        heard.recv().await.unwrap();
    }
}

struct Client {
    body: Body,
    parser: Parser,
    waiting: std::collections::VecDeque<sse::Event>,
}

impl Client {
    async fn open(server: &Fixture, token: &str, query: &str, last: Option<&str>) -> Client {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend(last.map(|last| ("last-event-id", last)));
        let response = server.send(request(&format!("GET /events/stream{query}"), &headers, None)).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Client { body: response.into_body(), parser: Parser::default(), waiting: Default::default() }
    }

    /// The id of the next event; `None` at the end.
    async fn next(&mut self) -> Option<u64> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return event.id.unwrap().parse().ok();
            }
            let bytes = self.body.frame().await?.unwrap().into_data().unwrap();
            self.waiting.extend(self.parser.push(&bytes));
        }
    }

    async fn take(&mut self, count: usize) -> Vec<u64> {
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(self.next().await.unwrap());
        }
        ids
    }
}

#[tokio::test]
async fn pages_are_the_newest_or_those_after_an_id() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config::default()).await;
    let token = first_token(data.path());
    emit(&server, (1..=5).map(|n| if n == 4 { output(n) } else { warning(n) })).await;
    for (query, expected) in [
        ("", vec![1, 2, 3, 4, 5]),
        ("?limit=2", vec![4, 5]),
        ("?limit=2&output=false", vec![3, 5]),
        ("?after=1&limit=2", vec![2, 3]),
        ("?after=2&limit=2&output=false", vec![3, 5]),
        ("?after=5", vec![]),
    ] {
        let page = server.as_token(&format!("GET /events{query}"), &token, None).await.json;
        let ids: Vec<u64> =
            page["events"].as_array().unwrap().iter().map(|e| e["id"].as_u64().unwrap()).collect();
        assert_eq!(ids, expected, "{query}");
    }
    assert_eq!(server.as_token("GET /events?after=x", &token, None).await.status, 400);
}

#[tokio::test]
async fn pages_go_back_to_the_first_record_and_filters_hold_on_the_way() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config::default()).await;
    let token = first_token(data.path());
    let host = |n: u64| Event::HostUp { host: format!("h{}", n % 2).parse().unwrap() };
    emit(&server, (1..=2_500).map(|n| if n % 100 == 0 { host(n / 100) } else { warning(n) })).await;
    let read = async |query: String| {
        let page = server.as_token(&format!("GET /events?{query}"), &token, None).await.json;
        let ids = page["events"].as_array().unwrap().iter().map(|e| e["id"].as_u64().unwrap());
        (ids.collect::<Vec<u64>>(), page["older"].as_u64())
    };
    assert_eq!(read("limit=2".to_owned()).await, (vec![2_499, 2_500], Some(2_499)));
    assert_eq!(read("limit=2&before=2499".to_owned()).await, (vec![2_497, 2_498], Some(2_497)));
    assert_eq!(read("limit=2&before=3".to_owned()).await, (vec![1, 2], None));
    assert_eq!(read("limit=9&before=1".to_owned()).await, (vec![], None));

    // Every event of one host, page by page.
    let (mut ids, mut before) = (Vec::new(), String::new());
    loop {
        let (page, older) = read(format!("kind=hosts&host=h1&limit=5{before}")).await;
        ids.extend(page.into_iter().rev());
        let Some(older) = older else { break };
        before = format!("&before={older}");
    }
    assert_eq!(ids, (0..=12).rev().map(|n| 100 + n * 200).collect::<Vec<u64>>());
    assert_eq!(read("kind=hosts&after=2300".to_owned()).await.0, [2_400, 2_500]);
    assert_eq!(server.as_token("GET /events?output=maybe", &token, None).await.status, 400);

    let mut client = Client::open(&server, &token, "?after=2300&kind=host_up&host=h0", None).await;
    assert_eq!(client.take(1).await, [2_400]);
}

#[tokio::test]
async fn a_stream_begins_now_and_resumes_without_gap_or_repetition() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config::default()).await;
    let token = first_token(data.path());
    emit(&server, (1..=3).map(warning)).await;
    let mut fresh = Client::open(&server, &token, "", None).await;
    let mut after = Client::open(&server, &token, "?after=1", None).await;
    let mut resumed = Client::open(&server, &token, "?after=0", Some("2")).await;
    emit(&server, (4..=5).map(warning)).await;
    assert_eq!(fresh.take(2).await, [4, 5]);
    assert_eq!(after.take(4).await, [2, 3, 4, 5]);
    assert_eq!(resumed.take(3).await, [3, 4, 5]);
}

#[tokio::test]
async fn a_slow_client_catches_up_from_the_store() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config::default()).await;
    let token = first_token(data.path());
    let mut client = Client::open(&server, &token, "?output=false", None).await;
    // More than the broadcast holds, while nobody reads.
    for first in (0..6_000).step_by(1_000) {
        emit(&server, (first..first + 1_000).map(|n| if n % 2 == 0 { output(n) } else { warning(n) })).await;
    }
    let ids = client.take(3_000).await;
    assert_eq!(ids, (1..=3_000).map(|n| n * 2).collect::<Vec<u64>>());
}

#[tokio::test]
async fn streams_end_when_the_part_stops_and_their_number_is_bounded() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config { streams_max: 1, ..Config::default() }).await;
    let token = first_token(data.path());
    let mut client = Client::open(&server, &token, "", None).await;
    let refused = server.as_token("GET /events/stream", &token, None).await;
    assert_eq!(refused.status, 429);
    server.tasks.shutdown().cancel();
    assert_eq!(client.next().await, None);
    drop(client);
    let _again = Client::open(&server, &token, "", None).await;
}
