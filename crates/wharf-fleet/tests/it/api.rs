//! The fleet's part of the control API, as a client sees it.

use serde_json::{Value, json};
use wharf_base::ErrorCode;
use wharf_fleet::agent;
use wharf_model::ports::Hosts as _;
use wharf_test_support::require;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn hosts_tokens_and_generations_are_served() {
    require!(Docker);
    let world = World::with_local_host();
    let server = world.server().await;
    let client = &server.client;
    let made: Value = client.post("/api/v1/join-tokens", &json!({ "ttl": "10m", "uses": 2 })).await.unwrap();
    let token = made["token"].as_str().unwrap();
    let command = made["command"].as_str().unwrap();
    assert_eq!(command, format!("wharf join {} --token {token} --name NAME", world.url()));
    agent::join(world.join_options(token, "h1")).await.unwrap();

    let hosts: Value = client.get("/api/v1/hosts").await.unwrap();
    let line = |host: &Value| (host["name"].clone(), host["liveness"].clone(), host["address"].clone());
    let lines: Vec<_> = hosts["hosts"].as_array().unwrap().iter().map(line).collect();
    assert_eq!(
        lines,
        [(json!("h1"), json!("never"), json!("127.0.0.1")), (json!("local"), json!("never"), Value::Null)]
    );
    assert_eq!(hosts["hosts"][0]["labels"], json!({ "pool": "web" }));

    let _: Value = client.post("/api/v1/hosts/h1/drain", &json!({ "draining": true })).await.unwrap();
    let hosts: Value = client.get("/api/v1/hosts").await.unwrap();
    assert_eq!(hosts["hosts"][0]["draining"], json!(true));

    let first = world.commit(&server, Some(world.desired(vec![]))).await;
    let second = world.commit(&server, None).await;
    assert_eq!((first, second), (1, 2));
    let list: Value = client.get("/api/v1/generations?limit=1").await.unwrap();
    assert_eq!(
        (list["generations"].as_array().unwrap().len(), &list["generations"][0]["number"]),
        (1, &json!(2))
    );
    let one: Value = client.get("/api/v1/generations/1").await.unwrap();
    assert_eq!((&one["number"], &one["author"]), (&json!(1), &json!("test")));
    let instances: Value = client.get("/api/v1/instances").await.unwrap();
    assert_eq!(instances, json!({ "instances": [] }));

    client.delete("/api/v1/hosts/h1").await.unwrap();
    let code = |error: wharf_http::Error| error.code();
    assert_eq!(client.delete("/api/v1/hosts/h1").await.map_err(code), Err(ErrorCode::NotFound));
    assert_eq!(client.delete("/api/v1/hosts/local").await.map_err(code), Err(ErrorCode::InvalidArgument));
    let missing = client.get::<Value>("/api/v1/generations/9").await.map_err(code);
    assert_eq!(missing, Err(ErrorCode::NotFound));
    for bad in
        [json!({ "uses": 0 }), json!({ "ttl": "99999h" }), json!({ "use": 1 }), json!({ "ttl": "soon" })]
    {
        let result = client.post::<Value>("/api/v1/join-tokens", &bad).await.map_err(code);
        assert_eq!(result, Err(ErrorCode::InvalidArgument), "{bad}");
    }
    let bad = client.post::<Value>("/api/v1/join", &json!({ "token": "x" })).await.map_err(code);
    assert_eq!(bad, Err(ErrorCode::InvalidArgument));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_tells_what_it_is_and_how_much_of_it_is_in_use() {
    require!(Docker);
    let world = World::with_local_host();
    let server = world.server().await;
    let before: Value = server.client.get("/api/v1/hosts").await.unwrap();
    let before = &before["hosts"][0];
    assert_eq!((&before["resources"], &before["architecture"]), (&Value::Null, &Value::Null));
    assert!(before["since"].is_i64(), "since it joined: {before}");

    let agent = world.inside_agent(&server).await;
    server.observe("a report", |observed| observed.hosts.values().any(|(_, one)| one.cpus > 0)).await;
    let hosts: Value = server.client.get("/api/v1/hosts").await.unwrap();
    let host = &hosts["hosts"][0];
    assert_eq!(host["liveness"], "up");
    assert!(host["since"].as_i64() >= before["since"].as_i64());
    assert_eq!(host["architecture"], std::env::consts::ARCH, "the Engine and uname use the same words");
    for key in ["kernel", "operating_system"] {
        assert!(host[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {host}");
    }
    let resources = &host["resources"];
    assert!(resources["memory_available_bytes"].as_u64() < host["memory_bytes"].as_u64(), "{resources}");
    assert!(resources["disk_bytes"].as_u64() >= resources["disk_free_bytes"].as_u64(), "{resources}");
    assert_eq!(resources["load"].as_array().map(Vec::len), Some(3));

    // Figures that change with every report are no reason to think again about where requests go.
    let observed = server.handle.observed().borrow().clone();
    assert!(observed.hosts.values().all(|(_, report)| report.resources.is_none()));
    agent.stop().await;
    server.stop().await;
}
