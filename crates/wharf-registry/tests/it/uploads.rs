//! Every way to push a blob, and every way to get it wrong.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::{Client, Server, noise, sha256, sha512, with_parameter};

/// How a blob is pushed.
#[derive(Clone, Copy, Debug)]
enum Style {
    PostOnly,
    PostPut,
    PatchPut,
    /// This many chunks with Content-Range, the last one in the PUT or not.
    Chunked {
        chunks: usize,
        last_in_put: bool,
    },
    Stream,
}

const STYLES: [Style; 6] = [
    Style::PostOnly,
    Style::PostPut,
    Style::PatchPut,
    Style::Chunked { chunks: 1, last_in_put: false },
    Style::Chunked { chunks: 3, last_in_put: false },
    Style::Chunked { chunks: 3, last_in_put: true },
];

/// Pushes and returns the last answer.
async fn push(client: &Client, style: Style, bytes: &[u8], digest: &str) -> crate::support::Answer {
    let body = Bytes::copy_from_slice(bytes);
    if let Style::PostOnly = style {
        let path = format!("/v2/a/blobs/uploads/?digest={digest}");
        return client.send_with("POST", &path, &[], body).await;
    }
    let mut location = client.open_upload("a").await;
    let finish = |location: &str| with_parameter(location, &format!("digest={digest}"));
    match style {
        Style::PostOnly => unreachable!("answered above"),
        Style::PostPut => client.send_with("PUT", &finish(&location), &[], body).await,
        Style::PatchPut => {
            let answer = client.send_with("PATCH", &location, &[], body).await.expect(202);
            client.send("PUT", &finish(answer.header("location"))).await
        }
        Style::Stream => {
            let pieces = bytes.chunks(700).map(Bytes::copy_from_slice).collect();
            let answer = client.send_stream("PATCH", &location, pieces).await.expect(202);
            client.send("PUT", &finish(answer.header("location"))).await
        }
        Style::Chunked { chunks, last_in_put } => {
            let size = bytes.len().div_ceil(chunks).max(1);
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            let mut start = 0;
            for (index, piece) in pieces.iter().enumerate() {
                let range = format!("{start}-{}", start + piece.len() - 1);
                let headers =
                    [("content-range", range.as_str()), ("content-type", "application/octet-stream")];
                let piece_body = Bytes::copy_from_slice(piece);
                if last_in_put && index + 1 == pieces.len() {
                    return client.send_with("PUT", &finish(&location), &headers, piece_body).await;
                }
                let answer = client.send_with("PATCH", &location, &headers, piece_body).await.expect(202);
                start += piece.len();
                assert_eq!(answer.header("range"), format!("0-{}", start - 1));
                location = answer.header("location").to_owned();
            }
            client.send("PUT", &finish(&location)).await
        }
    }
}

#[tokio::test]
async fn every_style_pushes_in_both_algorithms() {
    let server = Server::start().await;
    let styles = STYLES.into_iter().chain([Style::Stream]);
    for (index, style) in styles.enumerate() {
        for algorithm in [sha256, sha512] {
            let bytes = noise(4_000 + index, 7);
            let digest = algorithm(&bytes);
            let answer = push(&server, style, &bytes, &digest).await.expect(201);
            assert_eq!(answer.header("docker-content-digest"), digest, "{style:?}");
            let got = server.send("GET", answer.header("location")).await.expect(200);
            assert_eq!(got.body, bytes, "{style:?}");
            server.send("DELETE", &format!("/v2/a/blobs/{digest}")).await.expect(202);
        }
    }
    assert_eq!(server.handle.stats().uploads_open, 0);
}

#[tokio::test]
async fn a_wrong_digest_is_refused_in_every_style() {
    let server = Server::start().await;
    let bytes = noise(4_000, 8);
    for style in STYLES.into_iter().chain([Style::Stream]) {
        for wrong in [sha256(b"other"), sha512(b"other")] {
            push(&server, style, &bytes, &wrong).await.expect_error(400, "DIGEST_INVALID");
            server.send("GET", &format!("/v2/a/blobs/{wrong}")).await.expect_error(404, "BLOB_UNKNOWN");
        }
        for bad in ["sha256:baddigeststring", "md5:00", "x", ""] {
            push(&server, style, &bytes, bad).await.expect_error(400, "DIGEST_INVALID");
        }
    }
    server.send("GET", &format!("/v2/a/blobs/{}", sha256(&bytes))).await.expect(404);
    let location = server.open_upload("a").await;
    server.send("PUT", &location).await.expect_error(400, "DIGEST_INVALID");
}

#[tokio::test]
async fn a_chunk_out_of_order_is_refused_and_the_session_lives() {
    let server = Server::start().await;
    let bytes = noise(3_072, 9);
    let digest = sha256(&bytes);
    let chunk = |index: usize| Bytes::copy_from_slice(&bytes[index * 1_024..(index + 1) * 1_024]);
    for method in ["PATCH", "PUT"] {
        let mut location = server.open_upload("a").await;
        let status = server.send("GET", &location).await.expect(204);
        assert_eq!(status.header("range"), "0-0");
        let target = |location: &str| match method {
            "PUT" => with_parameter(location, &format!("digest={digest}")),
            _ => location.to_owned(),
        };
        // Ahead, before the first byte.
        let ahead = [("content-range", "1024-2047")];
        let refusal = server.send_with(method, &target(&location), &ahead, chunk(1)).await.expect(416);
        location = refusal.header("location").to_owned();
        let first = [("content-range", "0-1023")];
        location = server
            .send_with("PATCH", &location, &first, chunk(0))
            .await
            .expect(202)
            .header("location")
            .to_owned();
        // Back to the start, and ahead.
        for (range, index) in [("0-1023", 0), ("2048-3071", 2)] {
            let headers = [("content-range", range)];
            let refusal = server.send_with(method, &target(&location), &headers, chunk(index)).await;
            assert_eq!(refusal.expect(416).header("range"), "0-1023");
            let status = server.send("GET", &location).await.expect(204);
            assert_eq!(status.header("range"), "0-1023");
            location = status.header("location").to_owned();
        }
        for (range, index) in [("1024-2047", 1), ("2048-3071", 2)] {
            let headers = [("content-range", range)];
            let answer = server.send_with("PATCH", &location, &headers, chunk(index)).await.expect(202);
            location = answer.header("location").to_owned();
        }
        let finish = with_parameter(&location, &format!("digest={digest}"));
        server.send("PUT", &finish).await.expect(201);
        assert_eq!(server.send("GET", &format!("/v2/a/blobs/{digest}")).await.body, bytes);
        server.send("DELETE", &format!("/v2/a/blobs/{digest}")).await.expect(202);
    }
}

#[tokio::test]
async fn a_chunk_of_another_size_than_announced_changes_nothing() {
    let server = Server::start().await;
    let location = server.open_upload("a").await;
    server.send_with("PATCH", &location, &[("content-range", "0-3")], "good").await.expect(202);
    for (range, code) in [("4-99", "SIZE_INVALID"), ("4-5", "SIZE_INVALID"), ("x", "BLOB_UPLOAD_INVALID")] {
        let refusal = server.send_with("PATCH", &location, &[("content-range", range)], "12345").await;
        refusal.expect_error(400, code);
        assert_eq!(server.send("GET", &location).await.expect(204).header("range"), "0-3");
    }
    let finish = with_parameter(&location, &format!("digest={}", sha256(b"good")));
    server.send("PUT", &finish).await.expect(201);
}

#[tokio::test]
async fn uploads_that_are_not_there() {
    let server = Server::start().await;
    let location = server.open_upload("a").await;
    let elsewhere = location.replace("/v2/a/", "/v2/b/");
    let never = "/v2/a/blobs/uploads/00000000-0000-0000-0000-000000000000";
    let dots = "/v2/a/blobs/uploads/..%2F..%2Fregistry.db";
    let digest = sha256(b"");
    for path in [elsewhere.as_str(), never, dots] {
        for (method, parameter) in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("PUT", digest.as_str())] {
            let path = with_parameter(path, &format!("digest={parameter}"));
            server.send(method, &path).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
        }
    }
    server.send("DELETE", &location).await.expect(204);
    server.send("GET", &location).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    server.send("DELETE", &location).await.expect_error(404, "BLOB_UPLOAD_UNKNOWN");
    server.send("POST", &location).await.expect_error(405, "UNSUPPORTED");
    server.send("GET", "/v2/a/blobs/uploads/").await.expect_error(405, "UNSUPPORTED");
}

#[tokio::test]
async fn the_algorithm_may_be_announced() {
    let server = Server::start().await;
    let bytes = noise(2_000, 10);
    let path = "/v2/a/blobs/uploads/?digest-algorithm=sha512";
    let location = server.send("POST", path).await.expect(202).header("location").to_owned();
    server.send_with("PATCH", &location, &[], bytes.clone()).await.expect(202);
    let finish = with_parameter(&location, &format!("digest={}", sha512(&bytes)));
    server.send("PUT", &finish).await.expect(201);
    let bad = "/v2/a/blobs/uploads/?digest-algorithm=md5";
    server.send("POST", bad).await.expect_error(400, "DIGEST_INVALID");
}

#[tokio::test]
async fn a_blob_is_mounted_from_a_repository_that_has_it() {
    let server = Server::start().await;
    for (digest, bytes) in [(sha256(b"one"), "one"), (sha512(b"two"), "two")] {
        let push = format!("/v2/from/here/blobs/uploads/?digest={digest}");
        server.send_with("POST", &push, &[], bytes).await.expect(201);
        let escaped = digest.replace(':', "%3A");
        let mount = format!("/v2/to/blobs/uploads/?from=from%2Fhere&mount={escaped}");
        let answer = server.send("POST", &mount).await.expect(201);
        assert_eq!(server.send("GET", answer.header("location")).await.expect(200).body, bytes);
        // Anonymous: whoever has it.
        let mount = format!("/v2/anonymous/blobs/uploads/?mount={digest}");
        let answer = server.send("POST", &mount).await.expect(201);
        assert_eq!(answer.header("location"), format!("/v2/anonymous/blobs/{digest}"));
        // The source may go.
        server.send("DELETE", &format!("/v2/from/here/blobs/{digest}")).await.expect(202);
        server.handle.sweep().await.unwrap();
        assert_eq!(server.send("GET", answer.header("location")).await.expect(200).body, bytes);

        for from in ["&from=from%2Fhere", "&from=never", "&from=NO..NAME"] {
            let mount = format!("/v2/other/blobs/uploads/?mount={digest}{from}");
            let answer = server.send("POST", &mount).await.expect(202);
            server.send("GET", answer.header("location")).await.expect(204);
        }
    }
    let missing = sha256(b"missing");
    server.send("POST", &format!("/v2/to/blobs/uploads/?mount={missing}")).await.expect(202);
    server.send("POST", "/v2/to/blobs/uploads/?mount=bad").await.expect_error(400, "DIGEST_INVALID");
}

#[tokio::test]
async fn clients_that_push_the_same_blob_at_once_all_succeed() {
    let server = Server::start().await;
    let bytes = noise(300_000, 11);
    let digest = sha256(&bytes);
    let pushes = (0..16).map(|index| {
        let style = STYLES[index % STYLES.len()];
        let (client, bytes, digest) = (server.client.clone(), bytes.clone(), digest.clone());
        async move { push(&client, style, &bytes, &digest).await.expect(201) }
    });
    futures_util::future::join_all(pushes).await;
    assert_eq!(server.send("GET", &format!("/v2/a/blobs/{digest}")).await.body, bytes);
}

/// However a blob is cut into requests, it is the same blob.
#[test]
fn any_chunking_gives_the_same_blob() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(Server::start());
    let cuts = (prop::collection::vec(1usize..60_000, 1..6), any::<bool>(), any::<bool>());
    let mut runner = TestRunner::new(ProptestConfig::with_cases(24));
    let run = runner.run(&cuts, |(sizes, last_in_put, has_ranges)| {
        runtime.block_on(push_in_pieces(&server, &sizes, last_in_put, has_ranges));
        Ok(())
    });
    run.unwrap();
}

async fn push_in_pieces(client: &Client, sizes: &[usize], last_in_put: bool, has_ranges: bool) {
    let bytes = noise(sizes.iter().sum(), sizes[0] as u64);
    let finish = |location: &str| with_parameter(location, &format!("digest={}", sha256(&bytes)));
    let mut location = client.open_upload("a").await;
    let mut start = 0;
    for (index, size) in sizes.iter().enumerate() {
        let range = format!("{start}-{}", start + size - 1);
        let headers = [("content-range", range.as_str())];
        let headers = if has_ranges { &headers[..] } else { &[] };
        let (method, path, status) = if last_in_put && index + 1 == sizes.len() {
            ("PUT", finish(&location), 201)
        } else {
            ("PATCH", location, 202)
        };
        let body = Bytes::copy_from_slice(&bytes[start..start + size]);
        let answer = client.send_with(method, &path, headers, body).await.expect(status);
        location = answer.header("location").to_owned();
        start += size;
    }
    if !last_in_put {
        location = client.send("PUT", &finish(&location)).await.expect(201).header("location").to_owned();
    }
    assert_eq!(client.send("GET", &location).await.expect(200).body, bytes);
}
