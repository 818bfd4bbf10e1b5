//! kill -9 at many points of a push: what was acknowledged is there, the rest can go on.
//!
//! The registry runs in a child process: this test binary, told by a variable to serve.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use serde_json::json;
use wharf_base::{SystemClock, Tasks};
use wharf_registry::Config;
use wharf_test_support::Child;

use crate::support::{Client, OCI_MANIFEST, image, noise, sha256, start_in, with_parameter};

const SERVE: &str = "WHARF_REGISTRY_TEST_SERVE";

/// Not a test: the child process.
#[tokio::test]
async fn serve_as_a_child() {
    let Some(directory) = std::env::var_os(SERVE) else { return };
    let tasks = Tasks::new();
    let handle =
        start_in(Path::new(&directory), Config::default(), Arc::new(SystemClock), &tasks).await.unwrap();
    println!("listens on {}", handle.addresses()[0]);
    std::future::pending::<()>().await;
}

async fn start(directory: &Path) -> (Child, Client) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["crash::serve_as_a_child", "--exact", "--nocapture", "--test-threads=1"]);
    let child = Child::spawn(command.env(SERVE, directory));
    let line = child.line("listens on ").await;
    let address = line.rsplit(' ').next().unwrap().parse().unwrap();
    (child, Client { address, authorization: None })
}

#[tokio::test]
async fn an_upload_goes_on_after_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = noise(5 << 20, 1);
    let (mut child, client) = start(directory.path()).await;
    let location = client.open_upload("a").await;
    let first = Bytes::copy_from_slice(&bytes[..1 << 20]);
    client.send_with("PATCH", &location, &[("content-range", "0-1048575")], first).await.expect(202);

    // The second request is cut in the middle: some of it is sent, the rest never.
    let (sent, mut is_sent) = tokio::sync::mpsc::channel::<()>(1);
    let piece = Bytes::copy_from_slice(&bytes[1 << 20..3 << 20]);
    let frames = async_stream(piece, sent);
    let cut = client.try_send("PATCH", &location, &[], StreamBody::new(frames).boxed());
    let kill = async {
        is_sent.recv().await.unwrap();
        // Whatever has arrived by now: the registry must cope with any point.
        child.kill();
    };
    let (answer, ()) = tokio::join!(cut, kill);
    answer.unwrap_err();

    let (_child, client) = start(directory.path()).await;
    let status = client.send("GET", &location).await.expect(204);
    let last: usize = status.header("range").strip_prefix("0-").unwrap().parse().unwrap();
    assert!(((1 << 20) - 1..3 << 20).contains(&last), "{last}");
    let range = format!("{}-{}", last + 1, bytes.len() - 1);
    let rest = Bytes::copy_from_slice(&bytes[last + 1..]);
    let path = with_parameter(&location, &format!("digest={}", sha256(&bytes)));
    client.send_with("PUT", &path, &[("content-range", &range)], rest).await.expect(201);
    let blob = format!("/v2/a/blobs/{}", sha256(&bytes));
    assert_eq!(client.send("GET", &blob).await.expect(200).body, bytes);
}

/// One piece, then the news that it was taken, then nothing for ever.
fn async_stream(
    piece: Bytes,
    sent: tokio::sync::mpsc::Sender<()>,
) -> impl futures_util::Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send + Sync {
    let mut pieces: Vec<Bytes> = piece.chunks(64 << 10).map(Bytes::copy_from_slice).rev().collect();
    futures_util::stream::poll_fn(move |_| match pieces.pop() {
        Some(piece) => std::task::Poll::Ready(Some(Ok(Frame::data(piece)))),
        None => {
            let _ = sent.try_send(());
            std::task::Poll::Pending
        }
    })
}

/// Pushes images until the registry is killed; notes what was acknowledged.
async fn push_until_dead(client: &Client, worker: u64, acknowledged: &mut BTreeMap<String, Bytes>) {
    for round in 0u64.. {
        let repository = format!("app-{worker}");
        let layer =
            Bytes::from(noise(40_000 + (round as usize * 7_919) % 200_000, worker * 1_000_003 + round));
        let config = Bytes::from_static(b"{}");
        for blob in [&config, &layer] {
            let digest = sha256(blob);
            let Ok(opened) = attempt(client, "POST", &format!("/v2/{repository}/blobs/uploads/"), &[]).await
            else {
                return;
            };
            let location = opened.expect(202).header("location").to_owned();
            let Ok(patched) = attempt(client, "PATCH", &location, blob).await else { return };
            patched.expect(202);
            let path = with_parameter(&location, &format!("digest={digest}"));
            let Ok(put) = attempt(client, "PUT", &path, &[]).await else { return };
            put.expect(201);
            acknowledged.insert(format!("/v2/{repository}/blobs/{digest}"), blob.clone());
        }
        let manifest = image(&[&layer], json!({})).to_string();
        let path = format!("/v2/{repository}/manifests/r{round}");
        let body = Bytes::from(manifest);
        let full = http_body_util::Full::new(body.clone()).map_err(|never| match never {}).boxed();
        let headers = [("content-type", OCI_MANIFEST)];
        let Ok(put) = client.try_send("PUT", &path, &headers, full).await else { return };
        put.expect(201);
        acknowledged.insert(path, body.clone());
        acknowledged.insert(format!("/v2/{repository}/manifests/{}", sha256(&body)), body);
    }
}

async fn attempt(
    client: &Client,
    method: &str,
    path: &str,
    body: &[u8],
) -> Result<crate::support::Answer, Box<dyn std::error::Error + Send + Sync>> {
    let body =
        http_body_util::Full::new(Bytes::copy_from_slice(body)).map_err(|never| match never {}).boxed();
    client.try_send(method, path, &[], body).await
}

#[tokio::test]
async fn everything_acknowledged_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    let (mut child, mut client) = start(directory.path()).await;
    // Each round kills after another number of acknowledged changes, so at another point of some push.
    for round in 0..8u64 {
        let mut maps = [BTreeMap::new(), BTreeMap::new(), BTreeMap::new()];
        {
            let [one, two, three] = &mut maps;
            let pushes = async {
                tokio::join!(
                    push_until_dead(&client, round * 3, one),
                    push_until_dead(&client, round * 3 + 1, two),
                    push_until_dead(&client, round * 3 + 2, three),
                )
            };
            let kill = async {
                // Waits for work that has been done, not for a time.
                let enough = 3 + round * 2;
                loop {
                    let stats = client.send("GET", "/v2/_catalog").await.expect(200).json();
                    let repositories = stats["repositories"].as_array().unwrap();
                    let of_round = repositories
                        .iter()
                        .filter_map(|name| name.as_str()?.strip_prefix("app-")?.parse::<u64>().ok());
                    let mut tags = 0;
                    for worker in of_round.filter(|worker| worker / 3 == round) {
                        let list = client.send("GET", &format!("/v2/app-{worker}/tags/list")).await.json();
                        tags += list["tags"].as_array().map_or(0, Vec::len) as u64;
                    }
                    if tags >= enough {
                        break;
                    }
                }
                child.kill();
            };
            tokio::join!(pushes, kill);
        }
        for map in maps {
            acknowledged.extend(map);
        }
        (child, client) = start(directory.path()).await;
        for (path, bytes) in &acknowledged {
            let answer = client.send("GET", path).await.expect(200);
            assert!(answer.body == bytes, "{path} has other bytes after round {round}");
        }
    }
    assert!(acknowledged.len() > 100, "{} pushes are too few to say anything", acknowledged.len());
}

#[tokio::test]
async fn a_second_process_on_the_same_files_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (child, _client) = start(directory.path()).await;
    let tasks = Tasks::new();
    let error = start_in(directory.path(), Config::default(), Arc::new(SystemClock), &tasks).await;
    let error = error.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains(&child.pid().to_string()), "{error}");
}
