//! GET, HEAD, DELETE of blobs.

use crate::support::{OCI_MANIFEST, Server, image, noise, sha256, sha512};

#[tokio::test]
async fn ping_says_which_api_it_is() {
    let server = Server::start().await;
    for path in ["/v2/", "/v2"] {
        let answer = server.send("GET", path).await.expect(200);
        assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
    }
    server.send("POST", "/v2/").await.expect_error(405, "UNSUPPORTED");
    server.send("GET", "/").await.expect_error(404, "UNSUPPORTED");
    server.send("GET", "/v2/UPPER/tags/list").await.expect_error(400, "NAME_INVALID");
}

#[tokio::test]
async fn a_blob_is_there_after_its_push_and_gone_after_its_deletion() {
    let server = Server::start().await;
    for bytes in [noise(2_048, 1), b"{}".to_vec(), Vec::new(), noise(3 << 20, 2)] {
        for digest in [sha256(&bytes), sha512(&bytes)] {
            let path = format!("/v2/a/b/blobs/{digest}");
            server.send("GET", &path).await.expect_error(404, "BLOB_UNKNOWN");
            server.send("HEAD", &path).await.expect(404);
            let push = format!("/v2/a/b/blobs/uploads/?digest={digest}");
            let answer = server.send_with("POST", &push, &[], bytes.clone()).await.expect(201);
            assert_eq!(answer.header("docker-content-digest"), digest);
            let location = answer.header("location").to_owned();
            assert_eq!(server.send("GET", &location).await.expect(200).body, bytes);

            let head = server.send("HEAD", &path).await.expect(200);
            assert_eq!(head.header("content-length"), bytes.len().to_string());
            assert_eq!(head.header("docker-content-digest"), digest);
            assert!(head.body.is_empty());
            let get = server.send("GET", &path).await.expect(200);
            assert_eq!(get.header("content-length"), bytes.len().to_string());
            assert_eq!(get.header("content-type"), "application/octet-stream");
            assert_eq!(get.body, bytes);
            // Another repository doesn't serve it.
            server.send("GET", &format!("/v2/other/blobs/{digest}")).await.expect_error(404, "BLOB_UNKNOWN");

            server.send("DELETE", &path).await.expect(202);
            server.send("HEAD", &path).await.expect(404);
            server.send("DELETE", &path).await.expect_error(404, "BLOB_UNKNOWN");
        }
    }
    server.send("GET", "/v2/a/b/blobs/sha256:xyz").await.expect_error(404, "BLOB_UNKNOWN");
    server.send("DELETE", "/v2/a/b/blobs/sha256:xyz").await.expect_error(400, "DIGEST_INVALID");
    server.send("PUT", "/v2/a/b/blobs/sha256:xyz").await.expect_error(405, "UNSUPPORTED");
}

#[tokio::test]
async fn ranges_of_a_blob() {
    let server = Server::start().await;
    let bytes = noise(2_048, 3);
    let digest = server.push_blob("a", bytes.clone()).await;
    let path = format!("/v2/a/blobs/{digest}");
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=0-499", 0, 500),
        ("bytes=500-999", 500, 1_000),
        ("bytes=1548-", 1_548, 2_048),
        ("bytes=-500", 1_548, 2_048),
        ("bytes=1000-9999", 1_000, 2_048),
    ] {
        let answer = server.send_with("GET", &path, &[("range", range)], "").await.expect(206);
        assert_eq!(answer.header("content-range"), format!("bytes {from}-{}/2048", to - 1), "{range}");
        assert_eq!(answer.header("content-length"), (to - from).to_string(), "{range}");
        assert_eq!(answer.body, bytes[from..to], "{range}");
    }
    for range in ["bytes=500-0", "bytes=2048-", "bytes=5000-6000", "bytes=-0"] {
        let answer = server.send_with("GET", &path, &[("range", range)], "").await;
        let answer = answer.expect_error(416, "SIZE_INVALID");
        assert_eq!(answer.header("content-range"), "bytes */2048", "{range}");
    }
    // Several ranges and other units may be ignored; HEAD has none (RFC 9110 section 14.2).
    for (method, range) in [("GET", "bytes=0-1,5-6"), ("GET", "lines=0-1"), ("HEAD", "bytes=0-1")] {
        let answer = server.send_with(method, &path, &[("range", range)], "").await.expect(200);
        assert_eq!(answer.header("content-length"), "2048");
    }
    let other = [("range", "bytes=0-1"), ("if-range", "\"other\"")];
    server.send_with("GET", &path, &other, "").await.expect(200);
    let etag = format!("\"{digest}\"");
    server.send_with("GET", &path, &[("range", "bytes=0-1"), ("if-range", &etag)], "").await.expect(206);
    server.send_with("GET", &path, &[("if-none-match", &etag)], "").await.expect(304);
}

#[tokio::test]
async fn a_blob_that_a_manifest_needs_is_not_deleted() {
    let server = Server::start().await;
    server.push_image("shop", "v1", "layer").await;
    let path = format!("/v2/shop/blobs/{}", sha256(b"layer"));
    let refusal = server.send("DELETE", &path).await.expect_error(405, "UNSUPPORTED");
    let manifest = sha256(image(&[b"layer"], serde_json::json!({})).to_string().as_bytes());
    assert!(refusal.text().contains(&manifest), "{}", refusal.text());
    server.send("GET", &path).await.expect(200);
    server.send("DELETE", &format!("/v2/shop/manifests/{manifest}")).await.expect(202);
    server.send("DELETE", &path).await.expect(202);
    // The manifest can't come back without it.
    let bytes = image(&[b"layer"], serde_json::json!({})).to_string();
    server.put_manifest("shop", "v1", OCI_MANIFEST, bytes).await.expect_error(400, "MANIFEST_BLOB_UNKNOWN");
}

#[tokio::test]
async fn damage_on_the_disk_is_not_served_and_heals_with_the_next_push() {
    let server = Server::start().await;
    let manifest = server.push_image("a", "v1", "layer").await;
    let file = |digest: &str| {
        let hex = digest.strip_prefix("sha256:").unwrap();
        server.directory.path().join("registry/blobs/sha256").join(&hex[..2]).join(hex)
    };
    let (blob, digest) = (sha256(b"layer"), sha256(manifest.as_bytes()));
    std::fs::remove_file(file(&blob)).unwrap();
    std::fs::write(file(&blob), "lay").unwrap();
    std::fs::remove_file(file(&digest)).unwrap();
    for method in ["HEAD", "GET"] {
        server.send(method, &format!("/v2/a/blobs/{blob}")).await.expect(404);
        server.send(method, "/v2/a/manifests/v1").await.expect(404);
    }
    server.push_image("a", "v1", "layer").await;
    assert_eq!(server.send("GET", &format!("/v2/a/blobs/{blob}")).await.expect(200).body, "layer");
    assert_eq!(server.send("GET", "/v2/a/manifests/v1").await.expect(200).body, manifest);
}
