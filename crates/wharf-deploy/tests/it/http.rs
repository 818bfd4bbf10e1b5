//! The API as clients see it.

use axum::body::Body;
use axum::{Extension, Router};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;
use wharf_base::Tasks;
use wharf_http::{Caller, Role, sse};

use crate::server::*;
use crate::world::*;

fn app(server: &Server, role: Role) -> Router {
    let caller = Caller { name: "ann".to_owned(), role };
    Router::from(wharf_deploy::routes(server.handle.clone())).layer(Extension(caller))
}

async fn call(app: &Router, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Vec<u8>) {
    let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let response = app.clone().oneshot(request.body(body).unwrap()).await.unwrap();
    let status = response.status();
    (status, response.into_body().collect().await.unwrap().to_bytes().to_vec())
}

async fn json_of(app: &Router, method: &str, path: &str, body: Option<Value>) -> (StatusCode, Value) {
    let (status, bytes) = call(app, method, path, body).await;
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

#[tokio::test]
async fn deploys_streams_lists_and_refuses_over_http() {
    let (world, data, agents) = (World::new(&["a"]), tempfile::tempdir().unwrap(), Tasks::new());
    world.run(&agents);
    let server = server(&world, data.path()).await;
    let app = app(&server, Role::Deployer);

    let request = Request::post("/uploads").body(Body::from("context")).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let uploaded: Value =
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap();
    assert_eq!(uploaded["size"], 7);

    let mut service = web("x", 1);
    service["build"] = json!({ "context": "." });
    let body = json!({ "project": { "name": "shop", "services": { "web": service } },
        "contexts": { "web": { "digest": uploaded["digest"], "dockerfile": "Dockerfile" } }, "message": "hello" });
    let (status, plan) = json_of(&app, "POST", "/apps/shop/plan", Some(body.clone())).await;
    assert_eq!((status, &plan["lines"][0]), (StatusCode::OK, &json!("shop: release 1, the first")));
    let (status, started) = json_of(&app, "POST", "/apps/shop/deploys", Some(body)).await;
    assert_eq!((status, started), (StatusCode::ACCEPTED, json!({ "deploy": 1, "release": 1 })));

    let (status, bytes) = call(&app, "GET", "/deploys/1/stream", None).await;
    assert_eq!(status, StatusCode::OK);
    let events = sse::Parser::default().push(&bytes);
    let names: Vec<&str> = events.iter().filter_map(|event| event.name.as_deref()).collect();
    assert_eq!(names.first(), Some(&"step"));
    assert_eq!(names.last(), Some(&"end"));
    assert!(names.contains(&"output"));
    let end: Value = serde_json::from_str(&events.last().unwrap().data).unwrap();
    assert_eq!(end["state"], "succeeded");

    let request = Request::get("/deploys/1/stream").header("last-event-id", (events.len() - 2).to_string());
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let rest = sse::Parser::default().push(&response.into_body().collect().await.unwrap().to_bytes());
    assert_eq!(rest, events[events.len() - 1..]);

    let (_, apps) = json_of(&app, "GET", "/apps", None).await;
    assert_eq!(apps["apps"][0]["services"][0]["replicas_healthy"], 1);
    assert_eq!(apps["apps"][0]["routes"], json!([{ "host": null, "path": "/", "service": "web" }]));
    let (_, releases) = json_of(&app, "GET", "/apps/shop/releases", None).await;
    assert_eq!(
        (&releases["releases"][0]["message"], &releases["releases"][0]["author"]),
        (&json!("hello"), &json!("ann"))
    );
    let (_, diff) = json_of(&app, "GET", "/apps/shop/releases/1/diff/1", None).await;
    assert_eq!((&diff["from"]["message"], &diff["changes"]), (&json!("hello"), &json!([])));
    for (path, missing) in [
        ("/apps/shop/releases/1/diff/9", "release 9"),
        ("/apps/shop/releases/x/diff/1", "`x`"),
        ("/apps/none/releases/1/diff/1", "none"),
    ] {
        let (status, error) = json_of(&app, "GET", path, None).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {error}");
        assert!(error.to_string().contains(missing), "{path}: {error}");
    }
    let (_, deploys) = json_of(&app, "GET", "/deploys?limit=1&app=shop", None).await;
    assert_eq!(deploys["deploys"][0]["what"], "deploy");
    let (status, scaled) =
        json_of(&app, "POST", "/apps/shop/scale", Some(json!({ "services": { "web": 2 } }))).await;
    assert_eq!((status, &scaled["deploy"]), (StatusCode::ACCEPTED, &json!(2)));
    server.end_of(2).await;

    for (method, path, body, status, code) in [
        ("GET", "/apps/nope", None, 404, "not_found"),
        ("GET", "/apps/NO", None, 400, "invalid_argument"),
        ("GET", "/deploys/x", None, 404, "not_found"),
        ("POST", "/apps/shop/rollback", Some(json!({})), 409, "conflict"),
        ("POST", "/apps/shop/rollback", Some(json!({ "releas": 1 })), 400, "invalid_argument"),
        ("POST", "/apps/shop/deploys", Some(json!({ "project": 1 })), 400, "invalid_argument"),
        ("POST", "/deploys/1/abort", None, 409, "conflict"),
    ] {
        let (found, answer) = json_of(&app, method, path, body).await;
        assert_eq!(
            (found.as_u16(), &answer["error"]["code"]),
            (status, &json!(code)),
            "{method} {path} {answer}"
        );
    }
    let (status, _) = json_of(&app, "DELETE", "/apps/shop", None).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert_ok(&server.end_of(3).await);
}

#[tokio::test]
async fn a_viewer_reads_and_changes_nothing() {
    let (world, data) = (World::new(&["a"]), tempfile::tempdir().unwrap());
    let server = server(&world, data.path()).await;
    let app = app(&server, Role::Viewer);
    assert_eq!(call(&app, "GET", "/apps", None).await.0, StatusCode::OK);
    let body = || Some(json!({ "project": { "name": "shop", "services": {} } }));
    for (method, path, body) in [
        ("POST", "/uploads", None),
        ("POST", "/apps/shop/deploys", body()),
        ("POST", "/apps/shop/rollback", Some(json!({}))),
        ("POST", "/apps/shop/scale", Some(json!({ "services": {} }))),
        ("POST", "/deploys/1/abort", None),
        ("DELETE", "/apps/shop", None),
    ] {
        assert_eq!(call(&app, method, path, body).await.0, StatusCode::FORBIDDEN, "{method} {path}");
    }
}
