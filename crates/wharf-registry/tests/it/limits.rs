//! Bounds: each refuses, says so, and counts.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use wharf_base::{ByteSize, Clock, ManualClock, SystemClock, Tasks};
use wharf_registry::Config;
use wharf_test_support::require;

use crate::support::{Client, OCI_MANIFEST, Server, image, noise, run, sha256, start_in, with_parameter};

#[tokio::test]
async fn a_manifest_over_the_limit_is_refused_whole_or_streamed() {
    let server = Server::with(Config { manifest_size_max: ByteSize(4 << 20), ..Config::default() }).await;
    server.push_blob("a", "{}").await;
    let of_size = |size: usize| {
        let bytes = image(&[], json!({ "annotations": { "a": "" } })).to_string();
        let filler = "x".repeat(size - bytes.len());
        image(&[], json!({ "annotations": { "a": filler } })).to_string()
    };
    let largest = of_size(4 << 20);
    assert_eq!(largest.len(), 4 << 20);
    server.put_manifest("a", "good", OCI_MANIFEST, largest.clone()).await.expect(201);
    assert_eq!(server.send("GET", "/v2/a/manifests/good").await.body, largest);
    let too_large = of_size((4 << 20) + 1);
    let refusal = server.put_manifest("a", "bad", OCI_MANIFEST, too_large.clone()).await;
    assert!(refusal.expect_error(413, "SIZE_INVALID").text().contains("4M"));
    let pieces = too_large.into_bytes().chunks(100_000).map(bytes::Bytes::copy_from_slice).collect();
    server.send_stream("PUT", "/v2/a/manifests/bad", pieces).await.expect_error(413, "SIZE_INVALID");
}

#[tokio::test]
async fn open_uploads_are_bounded_and_idle_ones_end() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let config = Config { uploads_max: 2, upload_idle: Duration::from_secs(60), ..Config::default() };
    let server = Server::with_clock(config, clock.clone()).await;
    let first = server.open_upload("a").await;
    let second = server.open_upload("a").await;
    let refusal = server.send("POST", "/v2/a/blobs/uploads/").await.expect_error(429, "TOOMANYREQUESTS");
    refusal.header("retry-after").parse::<u32>().unwrap();
    clock.advance(Duration::from_secs(59));
    server.send_with("PATCH", &second, &[], "x").await.expect(202);
    clock.advance(Duration::from_secs(1));
    server.handle.sweep().await.unwrap();
    server.send("GET", &first).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    server.send("GET", &second).await.expect(204);
    server.open_upload("a").await;
    let stats = server.handle.stats();
    assert_eq!((stats.uploads_refused, stats.uploads_expired, stats.uploads_open), (1, 1, 2));
}

#[tokio::test]
async fn a_full_disk_refuses_pushes_and_serves_on() {
    let full = Config { disk_free_min: ByteSize(1 << 62), ..Config::default() };
    let server = Server::with(full).await;
    server.send("POST", "/v2/a/blobs/uploads/").await.expect_error(507, "UNAVAILABLE");
    let push = format!("/v2/a/blobs/uploads/?digest={}", sha256(b"x"));
    server.send_with("POST", &push, &[], "x").await.expect_error(507, "UNAVAILABLE");
    let manifest = json!({ "schemaVersion": 2, "manifests": [] }).to_string();
    let index = "application/vnd.oci.image.index.v1+json";
    server.put_manifest("a", "x", index, manifest).await.expect_error(507, "UNAVAILABLE");
    server.send("GET", "/v2/").await.expect(200);
    assert!(server.handle.stats().disk_refused >= 3);
}

/// A file system of 24 MiB that is gone with the value.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    async fn mount() -> SmallDisk {
        let directory = tempfile::tempdir().unwrap();
        let options = ["-t", "tmpfs", "-o", "size=24m", "tmpfs"];
        run(Command::new("mount").args(options).arg(directory.path())).await;
        SmallDisk(directory)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
        assert!(status.is_ok_and(|status| status.success()), "{} stays mounted", self.0.path().display());
    }
}

#[tokio::test]
async fn a_disk_that_is_really_full_loses_nothing() {
    require!(Root);
    let disk = SmallDisk::mount().await;
    let tasks = Tasks::new();
    let config = Config { disk_free_min: ByteSize(0), ..Config::default() };
    let handle = start_in(disk.0.path(), config, Arc::new(SystemClock), &tasks).await.unwrap();
    let client = Client { address: handle.addresses()[0], authorization: None };
    let manifest = client.push_image("a", "v1", "layer").await;

    let too_large = noise(40 << 20, 1);
    let location = client.open_upload("a").await;
    let pieces = too_large.chunks(1 << 20).map(bytes::Bytes::copy_from_slice).collect();
    let answer = client.send_stream("PATCH", &location, pieces).await;
    answer.expect_error(507, "UNAVAILABLE");
    // What fitted is a prefix of it.
    let status = client.send("GET", &location).await.expect(204);
    let last: usize = status.header("range").strip_prefix("0-").unwrap().parse().unwrap();
    assert!(last > 10 << 20, "{last}");
    client.send("GET", "/v2/a/manifests/v1").await.expect(200);
    client.send("DELETE", &location).await.expect(204);

    let bytes = noise(10 << 20, 2);
    let digest = client.push_blob("a", bytes.clone()).await;
    assert!(client.send("GET", &format!("/v2/a/blobs/{digest}")).await.expect(200).body == bytes);
    assert_eq!(client.send("GET", "/v2/a/manifests/v1").await.expect(200).body, manifest);
    assert!(handle.stats().disk_refused >= 1);
    assert_eq!(handle.stats().refuses_writes, None);
    drop(handle);
    tasks.stop(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn bytes_that_nothing_refers_to_are_swept_after_a_time() {
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let config = Config { unreferenced_keep: Duration::from_secs(3_600), ..Config::default() };
    let server = Server::with_clock(config, clock.clone()).await;
    let manifest = server.push_image("a", "v1", "kept").await;
    let blob = server.push_blob("a", "dropped").await;
    server.send("DELETE", &format!("/v2/a/blobs/{blob}")).await.expect(202);
    server.handle.sweep().await.unwrap();
    assert_eq!(server.handle.stats().blobs_swept, 0, "too young");
    clock.advance(Duration::from_secs(3_700));
    server.handle.sweep().await.unwrap();
    assert_eq!(server.handle.stats().blobs_swept, 1);
    assert_eq!(server.send("GET", "/v2/a/manifests/v1").await.expect(200).body, manifest);
    server.send("GET", &format!("/v2/a/blobs/{}", sha256(b"kept"))).await.expect(200);
    // It can come back.
    server.push_blob("a", "dropped").await;
    assert_eq!(server.send("GET", &format!("/v2/a/blobs/{blob}")).await.expect(200).body, "dropped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sweep_takes_nothing_that_a_push_was_told_is_there() {
    let server = Server::with(Config { unreferenced_keep: Duration::ZERO, ..Config::default() }).await;
    let (ended, mut has_ended) = tokio::sync::watch::channel(false);
    let sweeps = async {
        let mut count = 0;
        while !*has_ended.borrow_and_update() {
            server.handle.sweep().await.unwrap();
            count += 1;
        }
        count
    };
    // All push and delete the same few blobs, so that files come and go under each other's hands.
    let worker = |worker: usize| {
        let client = server.client.clone();
        async move {
            let repository = format!("app-{worker}");
            for round in 0..25 {
                let content = format!("content-{}", (round + worker) % 3);
                let manifest = client.push_image(&repository, "v1", &content).await;
                let blob = format!("/v2/{repository}/blobs/{}", sha256(content.as_bytes()));
                assert_eq!(client.send("GET", &blob).await.expect(200).body, content);
                let path = format!("/v2/{repository}/manifests/{}", sha256(manifest.as_bytes()));
                assert_eq!(client.send("GET", &path).await.expect(200).body, manifest);
                client.send("DELETE", &path).await.expect(202);
                client.send("DELETE", &blob).await.expect(202);
            }
        }
    };
    let workers = async {
        futures_util::future::join_all((0..4).map(worker)).await;
        ended.send_replace(true);
    };
    let (sweeps, ()) = tokio::join!(sweeps, workers);
    assert!(sweeps > 1 && server.handle.stats().blobs_swept > 1, "{sweeps} sweeps");
}

#[tokio::test]
async fn a_body_that_stalls_is_ended_and_the_upload_can_go_on() {
    let config = Config { upload_stall: Duration::from_millis(50), ..Config::default() };
    let server = Server::with(config).await;
    let location = server.open_upload("a").await;
    let answer = server.try_send("PATCH", &location, &[], half_a_body()).await.unwrap();
    answer.expect_error(408, "BLOB_UPLOAD_INVALID");
    assert_eq!(server.send("GET", &location).await.expect(204).header("range"), "0-3");
    let rest = [("content-range", "4-8")];
    server.send_with("PATCH", &location, &rest, " more").await.expect(202);
    let finish = with_parameter(&location, &format!("digest={}", sha256(b"half more")));
    server.send("PUT", &finish).await.expect(201);
}

#[tokio::test]
async fn a_push_in_one_request_leaves_nothing_when_its_client_goes_away() {
    let server = Server::start().await;
    let path = format!("/v2/a/blobs/uploads/?digest={}", sha256(b"half more"));
    let open = || server.handle.stats().uploads_open;
    {
        let push = server.try_send("POST", &path, &[], half_a_body());
        tokio::pin!(push);
        while open() == 0 {
            assert!(futures_util::poll!(push.as_mut()).is_pending());
            tokio::task::yield_now().await;
        }
    }
    // The connection is dropped; the upload goes with it.
    while open() > 0 {
        tokio::task::yield_now().await;
    }
}

/// Four bytes, then silence.
fn half_a_body() -> http_body_util::combinators::BoxBody<bytes::Bytes, std::io::Error> {
    let first = [Ok(hyper::body::Frame::data(bytes::Bytes::from_static(b"half")))];
    let body =
        futures_util::StreamExt::chain(futures_util::stream::iter(first), futures_util::stream::pending());
    http_body_util::BodyExt::boxed(http_body_util::StreamBody::new(SyncStream(body)))
}

/// `boxed` wants a stream that is `Sync`; this one is only ever polled through `&mut`.
struct SyncStream<S>(S);

impl<S: futures_util::Stream + Unpin> futures_util::Stream for SyncStream<S> {
    type Item = S::Item;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<S::Item>> {
        std::pin::Pin::new(&mut self.0).poll_next(context)
    }
}
