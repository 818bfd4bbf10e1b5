//! Sessions of the console: cookies, their ends, and requests from other sites.

use std::time::Duration;

use serde_json::json;
use wharf_access::Config;
use wharf_http::{Peer, Role};

use crate::fixture::{Fixture, first_token, request};

const PAGE: (&str, &str) = ("sec-fetch-site", "same-origin");

/// Logs in and returns `wharf_session=…`.
async fn log_in(server: &Fixture, token: &str) -> String {
    let answer = server.call("POST /session", &[PAGE], Some(json!({ "token": token }))).await;
    assert_eq!(answer.status, 200);
    let cookie = answer.cookie.unwrap();
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; Max-Age=604800; HttpOnly; SameSite=Strict");
    pair.to_owned()
}

#[tokio::test]
async fn a_session_begins_reads_changes_and_ends() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config::default()).await;
    let mut heard = server.events.subscribe();
    let cookie = log_in(&server, &first_token(data.path())).await;
    let event = serde_json::to_value(heard.recv().await.unwrap().event).unwrap();
    assert_eq!(event, json!({ "kind": "logged_in", "who": "admin" }));

    let session = server.call("GET /session", &[("cookie", &cookie)], None).await.json;
    assert_eq!(session, json!({ "name": "admin", "role": "admin", "expires": null }));
    let with_cookie = [("cookie", cookie.as_str()), PAGE];
    assert_eq!(server.call("POST /apps/shop/scale", &with_cookie, None).await.status, 200);

    let ended = server.call("DELETE /session", &with_cookie, None).await;
    assert_eq!(ended.status, 204);
    assert!(ended.cookie.unwrap().starts_with("wharf_session=; Path=/; Max-Age=0;"));
    assert_eq!(server.call("GET /session", &[("cookie", &cookie)], None).await.status, 401);
}

#[tokio::test]
async fn a_change_with_a_cookie_must_come_from_our_page() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config::default()).await;
    let cookie = log_in(&server, &first_token(data.path())).await;
    let cookie = ("cookie", cookie.as_str());
    // The browser's port is in the cookie's name.
    let at_port = cookie.1.replacen("wharf_session=", "wharf_session_7700=", 1);
    let at_port = ("cookie", at_port.as_str());
    for (headers, status) in [
        (vec![cookie], 403),
        (vec![cookie, ("sec-fetch-site", "cross-site")], 403),
        (vec![cookie, ("sec-fetch-site", "same-site")], 403),
        (vec![at_port, ("origin", "http://evil.example"), ("host", "127.0.0.1:7700")], 403),
        (vec![at_port, ("origin", "http://127.0.0.1:7700"), ("host", "127.0.0.1:7700")], 200),
        (vec![cookie, PAGE], 200),
    ] {
        assert_eq!(server.call("POST /apps/shop/scale", &headers, None).await.status, status, "{headers:?}");
    }
    // Reading is safe from anywhere: SameSite keeps the cookie away, and no answer allows other origins to read it.
    assert_eq!(server.call("GET /apps", &[cookie], None).await.status, 200);
}

#[tokio::test]
async fn another_sites_page_cant_log_the_browser_in() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config::default()).await;
    let body = || Some(json!({ "token": first_token(data.path()) }));
    for headers in [[("sec-fetch-site", "cross-site")], [("origin", "http://evil.example")]] {
        assert_eq!(server.call("POST /session", &headers, body()).await.status, 403, "{headers:?}");
    }
    assert_eq!(server.call("POST /session", &[], body()).await.status, 200, "a command");
}

#[tokio::test]
async fn sessions_survive_a_restart_and_end_when_idle_or_old() {
    let data = tempfile::tempdir().unwrap();
    let hour = Duration::from_secs(3600);
    let config = || Config { session_idle: 2 * hour, session_max: 5 * hour, ..Config::default() };
    let server = Fixture::start(data.path(), config()).await;
    let body = || Some(json!({ "token": first_token(data.path()) }));
    let idle = server.call("POST /session", &[], body()).await.cookie.unwrap();
    let used = server.call("POST /session", &[], body()).await.cookie.unwrap();
    server.stop().await;

    let server = Fixture::start(data.path(), config()).await;
    for elapsed in 1..=5 {
        let expected = if elapsed < 5 { 200 } else { 401 };
        server.clock.advance(hour);
        let answer = server.call("GET /session", &[("cookie", &used)], None).await;
        assert_eq!(answer.status, expected, "after {elapsed} h");
    }
    assert_eq!(server.call("GET /session", &[("cookie", &idle)], None).await.status, 401);
}

#[tokio::test]
async fn a_removed_token_takes_its_sessions_along() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config::default()).await;
    let (view, token) = server.handle.create_token("screen", Role::Viewer, None, "admin").await.unwrap();
    let cookie = log_in(&server, &token).await;
    server.handle.remove_token(&view.id, "admin").await.unwrap();
    assert_eq!(server.call("GET /apps", &[("cookie", &cookie)], None).await.status, 401);
}

#[tokio::test]
async fn the_number_of_sessions_is_bounded_and_the_idlest_makes_room() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config { sessions_max: 2, ..Config::default() }).await;
    let token = first_token(data.path());
    let first = log_in(&server, &token).await;
    server.clock.advance(Duration::from_secs(1));
    let second = log_in(&server, &token).await;
    server.clock.advance(Duration::from_secs(1));
    let third = log_in(&server, &token).await;
    let mut statuses = Vec::new();
    for cookie in [first, second, third] {
        statuses.push(server.call("GET /session", &[("cookie", &cookie)], None).await.status.as_u16());
    }
    assert_eq!(statuses, [401, 200, 200]);
}

#[tokio::test]
async fn the_cookie_is_secure_over_tls() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config::default()).await;
    let body = Some(json!({ "token": first_token(data.path()) }));
    let mut request = request("POST /session", &[], body);
    let peer = Peer { address: None, is_tls: true, certificate: None, inside: None };
    request.extensions_mut().insert(peer);
    let response = server.send(request).await;
    assert!(response.headers()["set-cookie"].to_str().unwrap().ends_with("; Secure"));
}
