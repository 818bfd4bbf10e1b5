//! Tokens: the first one, roles, making and removing, bounds.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::json;
use wharf_access::Config;
use wharf_base::UnixMillis;
use wharf_http::Role;

use crate::fixture::{Fixture, first_token};

#[tokio::test]
async fn the_first_start_makes_an_admin_token_that_stays() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config::default()).await;
    let token = first_token(data.path());
    let mode = std::fs::metadata(data.path().join("token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(server.as_token("GET /apps", &token, None).await.json, "admin");
    server.stop().await;

    let server = Fixture::start(data.path(), Config::default()).await;
    assert_eq!(first_token(data.path()), token);
    assert_eq!(server.as_token("GET /apps", &token, None).await.status, 200);
}

#[tokio::test]
async fn a_lost_token_file_is_made_anew_and_the_old_token_ends() {
    let data = tempfile::tempdir().unwrap();
    Fixture::start(data.path(), Config::default()).await.stop().await;
    let lost = first_token(data.path());
    std::fs::remove_file(data.path().join("token")).unwrap();
    let server = Fixture::start(data.path(), Config::default()).await;
    assert_eq!(server.as_token("GET /apps", &lost, None).await.status, 401);
    assert_eq!(server.as_token("GET /apps", &first_token(data.path()), None).await.status, 200);
    assert_eq!(server.handle.tokens().len(), 1);
}

#[tokio::test]
async fn no_secret_is_in_the_database() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config::default()).await;
    let token = first_token(data.path());
    let secret = token.rsplit('_').next().unwrap();
    server.stop().await;
    for name in ["state.db", "state.db-wal"] {
        let bytes = std::fs::read(data.path().join(name)).unwrap_or_default();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{name}");
    }
}

#[tokio::test]
async fn roles_decide() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config::default()).await;
    let (_, viewer) = server.handle.create_token("screen", Role::Viewer, None, "admin").await.unwrap();
    let (_, deployer) = server.handle.create_token("ci", Role::Deployer, None, "admin").await.unwrap();
    let admin = first_token(data.path());
    for (line, expected) in [
        ("GET /apps", [200, 200, 200]),
        ("POST /apps/shop/scale", [403, 200, 200]),
        ("GET /tokens", [403, 403, 200]),
        ("GET /nothing", [404, 404, 404]),
    ] {
        for (token, status) in [&viewer, &deployer, &admin].into_iter().zip(expected) {
            assert_eq!(server.as_token(line, token, None).await.status, status, "{line}");
        }
    }
    let refused = server.as_token("POST /apps/shop/scale", &viewer, None).await.json;
    assert_eq!(refused["error"]["code"], "permission_denied");
    assert_eq!(refused["error"]["hint"], "use a token with role deployer");
}

#[tokio::test]
async fn without_credentials_nothing_but_joining_and_logging_in_answers() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config::default()).await;
    for line in
        ["GET /apps", "GET /session", "GET /events", "GET /events/stream", "GET /nothing", "GET /join"]
    {
        assert_eq!(server.call(line, &[], None).await.status, 401, "{line}");
    }
    assert_eq!(server.call("POST /join", &[], None).await.json, "joined");
}

#[tokio::test]
async fn tokens_are_made_listed_used_and_removed_over_http() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config::default()).await;
    let admin = first_token(data.path());
    let body = || Some(json!({ "name": "ci", "role": "deployer" }));
    let mut heard = server.events.subscribe();
    let made = server.as_token("POST /tokens", &admin, body()).await;
    let event = serde_json::to_value(heard.recv().await.unwrap().event).unwrap();
    assert_eq!(event, json!({ "kind": "token_made", "name": "ci", "role": "deployer", "by": "admin" }));
    assert_eq!(made.status, 201);
    let (token, id) = (made.json["token"].as_str().unwrap(), made.json["id"].as_str().unwrap());
    assert!(token.starts_with(&format!("wharf_{id}_")));
    assert_eq!(server.as_token("POST /tokens", &admin, body()).await.json["error"]["code"], "already_exists");
    assert_eq!(server.as_token("GET /apps", token, None).await.json, "ci");

    let list = server.as_token("GET /tokens", &admin, None).await.json;
    let names: Vec<_> = list["tokens"].as_array().unwrap().iter().map(|t| t["name"].clone()).collect();
    assert_eq!(names, ["admin", "ci"]);
    assert_eq!(list["tokens"][1]["last_used"], 1_000_000);
    assert!(!list.to_string().contains(token), "secrets are shown once");

    assert_eq!(server.as_token(&format!("DELETE /tokens/{id}"), &admin, None).await.status, 204);
    let event = serde_json::to_value(heard.recv().await.unwrap().event).unwrap();
    assert_eq!(event, json!({ "kind": "token_removed", "name": "ci", "by": "admin" }));
    assert_eq!(server.as_token("GET /apps", token, None).await.status, 401);
    assert_eq!(server.as_token(&format!("DELETE /tokens/{id}"), &admin, None).await.status, 404);
    let body = Some(json!({ "name": "a", "role": "root" }));
    let refused = server.as_token("POST /tokens", &admin, body).await.json;
    assert_eq!(refused["error"]["message"], "`root` is not a role");
    assert_eq!(refused["error"]["hint"], "the roles are viewer, deployer and admin");
    for (name, role) in [("", "admin"), (" a", "admin"), ("a\nb", "admin"), ("a", "root")] {
        let body = Some(json!({ "name": name, "role": role }));
        assert_eq!(server.as_token("POST /tokens", &admin, body).await.status, 400, "{name:?} {role}");
    }
}

#[tokio::test]
async fn the_last_admin_stays_and_the_number_of_tokens_is_bounded() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config { tokens_max: 2, ..Config::default() }).await;
    let id = server.handle.tokens()[0].id.clone();
    let error = server.handle.remove_token(&id, "admin").await.unwrap_err();
    assert_eq!(error.code().as_str(), "conflict");
    server.handle.create_token("b", Role::Admin, None, "admin").await.unwrap();
    assert!(server.handle.create_token("c", Role::Viewer, None, "admin").await.is_err());
    server.handle.remove_token(&id, "admin").await.unwrap();
}

#[tokio::test]
async fn last_use_is_on_disk_after_a_stop() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config::default()).await;
    server.as_token("GET /apps", &first_token(data.path()), None).await;
    server.stop().await;
    let database = wharf_state::Database::open(&data.path().join("state.db")).unwrap();
    let sql = "SELECT last_used FROM access_token";
    let last_used: i64 = database.read(|c| c.query_row(sql, (), |row| row.get(0))).await.unwrap();
    assert_eq!(last_used, 1_000_000);
}

#[tokio::test]
async fn wrong_tokens_are_bounded_and_a_right_one_still_gets_in() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config { failures_per_minute: 3, ..Config::default() }).await;
    let wrong = format!("wharf_{}_{}", "0".repeat(12), "0".repeat(64));
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let body = Some(json!({ "token": wrong }));
        statuses.push(server.call("POST /session", &[], body).await.status.as_u16());
    }
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    assert_eq!(server.handle.stats().failures_refused, 2);
    assert_eq!(server.as_token("GET /apps", &first_token(data.path()), None).await.status, 200);
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(server.as_token("GET /apps", &wrong, None).await.status, 401);
}

#[tokio::test]
async fn the_registry_takes_tokens_as_passwords() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config::default()).await;
    let (_, viewer) = server.handle.create_token("screen", Role::Viewer, None, "admin").await.unwrap();
    let (_, deployer) = server.handle.create_token("ci", Role::Deployer, None, "admin").await.unwrap();
    let may_push = |password: &str| server.handle.check_registry("token", password).map(|user| user.may_push);
    assert_eq!(may_push(&first_token(data.path())), Some(true));
    assert_eq!(may_push(&deployer), Some(true));
    assert_eq!(may_push(&viewer), Some(false));
    assert_eq!(may_push("secret"), None);
    assert_eq!(server.handle.check_registry("anyone", &deployer).unwrap().name, "ci");
}

#[tokio::test]
async fn a_token_that_expires_admits_nobody_from_then_on_and_says_since_when() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config::default()).await;
    let admin = first_token(data.path());
    let wanted = json!({ "name": "guest", "role": "admin", "ttl": "2h" });
    let made = server.as_token("POST /tokens", &admin, Some(wanted)).await;
    assert_eq!((made.status.as_u16(), &made.json["expires"]), (201, &json!(1_000_000 + 7_200_000)));
    let guest = made.json["token"].as_str().unwrap().to_owned();
    let page = ("sec-fetch-site", "same-origin");
    let session = server.call("POST /session", &[page], Some(json!({ "token": guest }))).await;
    let cookie = session.cookie.unwrap().split_once(';').unwrap().0.to_owned();
    assert_eq!(session.json["expires"], made.json["expires"]);

    // Who removes the admin that stays would be locked out two hours later.
    let id = admin.split('_').nth(1).unwrap();
    assert_eq!(server.as_token(&format!("DELETE /tokens/{id}"), &guest, None).await.status, 409);

    server.clock.advance(Duration::from_secs(7_199));
    assert_eq!(server.as_token("GET /apps", &guest, None).await.status, 200);
    assert!(server.handle.check_registry("any", &guest).is_some());
    server.clock.advance(Duration::from_secs(1));
    // More often than wrong tokens may be tried: this one is known, and never counted as an attempt.
    for _ in 0..Config::default().failures_per_minute + 1 {
        let refused = server.as_token("GET /apps", &guest, None).await;
        assert_eq!(refused.status, 401);
        assert_eq!(refused.json["error"]["message"], "this token expired at 1970-01-01T02:16:40.000Z");
    }
    let refused = server.call("GET /apps", &[("cookie", &cookie)], None).await;
    assert_eq!((refused.status.as_u16(), &refused.json["error"]["code"]), (401, &json!("unauthenticated")));
    assert_eq!(server.handle.check_registry("any", &guest), None);
    server.stop().await;

    // It is still there after a restart, and still over.
    let server = Fixture::start(data.path(), Config::default()).await;
    server.clock.advance(Duration::from_secs(7_200));
    assert_eq!(server.handle.tokens()[1].expires, Some(UnixMillis(8_200_000)));
    assert_eq!(server.as_token("GET /apps", &guest, None).await.status, 401);
}

#[tokio::test]
async fn a_token_lives_for_a_time_that_makes_sense() {
    let data = tempfile::tempdir().unwrap();
    let server = Fixture::start(data.path(), Config::default()).await;
    let admin = first_token(data.path());
    for ttl in ["0s", "4000d", "soon", "-1h", ""] {
        let wanted = json!({ "name": "guest", "role": "viewer", "ttl": ttl });
        let answer = server.as_token("POST /tokens", &admin, Some(wanted)).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json["error"]["code"]),
            (400, &json!("invalid_argument")),
            "{ttl}"
        );
    }
    assert_eq!(server.handle.tokens().len(), 1);
}
