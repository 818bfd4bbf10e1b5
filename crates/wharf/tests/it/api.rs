//! The control API against its document: every operation of a real server, with every role.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;
use wharf_test_support::require;

use crate::server::{Server, wharf};
use crate::support::checked;

/// An answer without its body.
struct Head {
    status: u16,
    allow: BTreeSet<String>,
    content_type: String,
}

/// Sends a request and reads the head of the answer: bodies may be streams without an end.
fn head(server: &Server, method: &str, path: &str, token: Option<&str>, body: &str) -> Head {
    let mut stream = TcpStream::connect(("127.0.0.1", server.api)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    write!(
        stream,
        "{method} /api/v1{path} HTTP/1.1\r\nHost: x\r\n{authorization}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
        let count = stream.read(&mut part).unwrap();
        assert!(count > 0, "{method} {path}: {}", String::from_utf8_lossy(&bytes));
        bytes.extend_from_slice(&part[..count]);
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value.trim()).to_owned()
    };
    let allow = field("allow");
    let allow = allow.split(',').map(|method| method.trim().to_owned()).filter(|one| !one.is_empty());
    Head {
        status: status.unwrap_or_else(|| panic!("{method} {path}: {text}")),
        allow: allow.collect(),
        content_type: field("content-type"),
    }
}

fn document(server: &Server) -> Value {
    let url = format!("http://127.0.0.1:{}/api/v1/openapi.json", server.api);
    let token = format!("Authorization: Bearer {}", server.token());
    let text = checked(std::process::Command::new("curl").args(["-sf", "-H", &token, &url]));
    serde_json::from_str(&text).unwrap()
}

/// Method, path and description of every operation.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let each = paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation.clone()))
    });
    each.collect()
}

/// The path with names that nothing has, so that an operation which is let in finds nothing to do.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{id}" | "{number}" | "{from}" | "{to}" => "999999999",
        part if part.starts_with('{') => "none-such",
        part => part,
    });
    parts.collect::<Vec<&str>>().join("/")
}

#[test]
fn the_server_has_what_its_document_says_and_no_more() {
    require!(Docker);
    let server = Server::start();
    let served = document(&server);
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api/openapi.json");
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    let paths =
        |document: &Value| document["paths"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(paths(&served), paths(&committed), "routes of the server, routes of docs/api/openapi.json");
    assert_eq!(served["paths"], committed["paths"]);
    assert_eq!(served["components"], committed["components"]);
    let printed: Value = serde_json::from_str(&checked(wharf().args(["api", "openapi"]))).unwrap();
    assert_eq!(printed, committed);

    let token = server.token();
    for (path, item) in served["paths"].as_object().unwrap() {
        // A method that no route has: the answer names those that there are.
        let answer = head(&server, "PROPFIND", &filled(path), Some(&token), "");
        let mut described: BTreeSet<String> =
            item.as_object().unwrap().keys().map(|key| key.to_uppercase()).collect();
        if described.contains("GET") {
            described.insert("HEAD".to_owned());
        }
        assert_eq!((answer.status, answer.allow), (405, described), "{path}");
    }
}

#[test]
fn every_operation_lets_in_whom_its_document_says() {
    require!(Docker);
    // Each wrong token below counts; the bound on them is not what is tested.
    let server = Server::start_with(&["access.failures_per_minute=1000"]);
    let token = |role: &str| {
        let made = server.json(&["token", "create", &format!("the-{role}"), "--role", role]);
        made["token"].as_str().unwrap().to_owned()
    };
    let tokens = ["viewer", "deployer", "admin"].map(|role| (role, token(role)));
    let wrong = format!("wharf_{}_{}", "0".repeat(12), "0".repeat(64));
    for (method, path, operation) in operations(&document(&server)) {
        let (place, needs) = (filled(&path), operation["x-wharf-role"].as_str().unwrap());
        let is_open = needs == "open";
        for nobody in [None, Some(wrong.as_str())] {
            let status = head(&server, &method, &place, nobody, "{}").status;
            // What is open refuses for what is in the request, which is empty here.
            assert_eq!(status, if is_open { 400 } else { 401 }, "{method} {path} with {nobody:?}");
        }
        let mut may = is_open;
        for (role, token) in &tokens {
            may |= needs == *role;
            let answer = head(&server, &method, &place, Some(token), "{}");
            assert_eq!(answer.status != 403, may, "{method} {path} as {role}: {}", answer.status);
            assert!(
                !matches!(answer.status, 401 | 405 | 500..),
                "{method} {path} as {role}: {}",
                answer.status
            );
            let status = answer.status.to_string();
            let described = &operation["responses"][&status];
            assert!(described.is_object(), "{method} {path} answers {status}, which is not described");
            let types =
                described["content"].as_object().map(|content| content.keys().cloned().collect::<Vec<_>>());
            if let Some(types) = types {
                let is_one = types.iter().any(|one| answer.content_type.starts_with(one.as_str()));
                assert!(is_one, "{method} {path} {status}: {} is none of {types:?}", answer.content_type);
            }
        }
    }
}
