//! Manifests: push, pull, delete, and what is wrong with some.

use serde_json::json;

use crate::support::{DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Server, descriptor, image, sha256, sha512};

#[tokio::test]
async fn a_manifest_is_served_as_it_was_pushed() {
    let server = Server::start().await;
    server.push_blob("a", "{}").await;
    server.push_blob("a", "layer").await;
    // Odd white space and fields that nobody knows survive.
    let bytes =
        format!("{}\n ", serde_json::to_string_pretty(&image(&[b"layer"], json!({ "x": [1] }))).unwrap());
    let digest = sha256(bytes.as_bytes());
    server.send("GET", "/v2/a/manifests/v1").await.expect_error(404, "MANIFEST_UNKNOWN");
    server.send("HEAD", &format!("/v2/a/manifests/{digest}")).await.expect(404);

    let with_parameters = format!("{OCI_MANIFEST}; charset=utf-8");
    let answer = server.put_manifest("a", "v1", &with_parameters, bytes.clone()).await.expect(201);
    assert_eq!(answer.header("docker-content-digest"), digest);
    assert_eq!(answer.header("location"), format!("/v2/a/manifests/{digest}"));
    assert!(!answer.has("oci-subject"));
    for reference in ["v1", &digest] {
        for method in ["GET", "HEAD"] {
            // Twice: from the disk and from memory.
            for _ in 0..2 {
                let answer = server.send(method, &format!("/v2/a/manifests/{reference}")).await.expect(200);
                assert_eq!(answer.header("content-type"), OCI_MANIFEST);
                assert_eq!(answer.header("content-length"), bytes.len().to_string());
                assert_eq!(answer.header("docker-content-digest"), digest);
                assert_eq!(answer.body, if method == "GET" { bytes.as_str() } else { "" });
            }
        }
    }
    let etag = format!("\"{digest}\"");
    server.send_with("GET", "/v2/a/manifests/v1", &[("if-none-match", &etag)], "").await.expect(304);
    server.send("GET", "/v2/b/manifests/v1").await.expect_error(404, "MANIFEST_UNKNOWN");
    server.send("PATCH", "/v2/a/manifests/v1").await.expect_error(405, "UNSUPPORTED");
}

#[tokio::test]
async fn a_tag_moves_and_the_older_manifest_stays() {
    let server = Server::start().await;
    let first = server.push_image("a", "latest", "one").await;
    assert_eq!(server.send("GET", "/v2/a/manifests/latest").await.body, first);
    let second = server.push_image("a", "latest", "two").await;
    assert_eq!(server.send("GET", "/v2/a/manifests/latest").await.body, second);
    let path = format!("/v2/a/manifests/{}", sha256(first.as_bytes()));
    assert_eq!(server.send("GET", &path).await.expect(200).body, first);
}

#[tokio::test]
async fn deleting_a_tag_keeps_the_manifest_and_deleting_the_manifest_takes_its_tags() {
    let server = Server::start().await;
    let manifest = server.push_image("a", "v1", "layer").await;
    server.push_image("a", "v2", "layer").await;
    let digest = sha256(manifest.as_bytes());
    let by_digest = format!("/v2/a/manifests/{digest}");
    // All are in memory before.
    for path in ["/v2/a/manifests/v1", "/v2/a/manifests/v2", &by_digest] {
        server.send("GET", path).await.expect(200);
    }
    server.send("DELETE", "/v2/a/manifests/v1").await.expect(202);
    server.send("GET", "/v2/a/manifests/v1").await.expect_error(404, "MANIFEST_UNKNOWN");
    server.send("DELETE", "/v2/a/manifests/v1").await.expect_error(404, "MANIFEST_UNKNOWN");
    server.send("GET", "/v2/a/manifests/v2").await.expect(200);
    server.send("DELETE", &by_digest).await.expect(202);
    for path in ["/v2/a/manifests/v2", &by_digest] {
        server.send("GET", path).await.expect_error(404, "MANIFEST_UNKNOWN");
    }
    server.send("DELETE", &by_digest).await.expect_error(404, "MANIFEST_UNKNOWN");
    assert_eq!(server.send("GET", "/v2/a/tags/list").await.expect(200).json()["tags"], json!([]));
}

#[tokio::test]
async fn refusals() {
    let server = Server::start().await;
    server.push_blob("a", "{}").await;
    let good = image(&[], json!({})).to_string();
    let digest = sha256(good.as_bytes());
    let missing = image(&[b"never pushed"], json!({})).to_string();
    let index = json!({ "schemaVersion": 2, "manifests": [descriptor(OCI_MANIFEST, b"never")] }).to_string();
    let both = image(&[], json!({ "manifests": [] })).to_string();
    let signed = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let schema_1 = json!({ "schemaVersion": 1, "name": "a", "tag": "x", "fsLayers": [] }).to_string();
    for (reference, media_type, bytes, status, code) in [
        ("sha256:baddigeststring", OCI_MANIFEST, good.clone(), 400, "DIGEST_INVALID"),
        (".bad", OCI_MANIFEST, good.clone(), 400, "MANIFEST_INVALID"),
        // Two blanks more than the digest says.
        (digest.as_str(), OCI_MANIFEST, format!("{good}  "), 400, "DIGEST_INVALID"),
        ("x", OCI_MANIFEST, "not json".to_owned(), 400, "MANIFEST_INVALID"),
        ("x", OCI_MANIFEST, String::new(), 400, "MANIFEST_INVALID"),
        ("x", OCI_MANIFEST, both, 400, "MANIFEST_INVALID"),
        ("x", OCI_INDEX, good.clone(), 400, "MANIFEST_INVALID"),
        ("x", signed, schema_1.clone(), 400, "MANIFEST_INVALID"),
        ("x", "application/json", schema_1, 400, "MANIFEST_INVALID"),
        ("x", OCI_MANIFEST, missing, 400, "MANIFEST_BLOB_UNKNOWN"),
        ("x", OCI_INDEX, index, 400, "MANIFEST_BLOB_UNKNOWN"),
    ] {
        server.put_manifest("a", reference, media_type, bytes).await.expect_error(status, code);
    }
    // Nothing of it has left a trace.
    server.send("GET", "/v2/a/manifests/x").await.expect_error(404, "MANIFEST_UNKNOWN");
    assert_eq!(server.send("GET", "/v2/a/tags/list").await.expect(200).json()["tags"], json!([]));
    for reference in ["sha256:baddigeststring", ".INVALID_MANIFEST_NAME"] {
        let path = format!("/v2/a/manifests/{reference}");
        server.send("GET", &path).await.expect_error(404, "MANIFEST_UNKNOWN");
        server.send("DELETE", &path).await.expect_error(404, "MANIFEST_UNKNOWN");
    }
}

#[tokio::test]
async fn docker_manifests_and_lists_keep_their_types() {
    let server = Server::start().await;
    server.push_blob("a", "{}").await;
    server.push_blob("a", "layer").await;
    let docker = image(&[b"layer"], json!({ "mediaType": DOCKER_MANIFEST })).to_string();
    server.put_manifest("a", "one", DOCKER_MANIFEST, docker.clone()).await.expect(201);
    let list_type = "application/vnd.docker.distribution.manifest.list.v2+json";
    let list = json!({
        "schemaVersion": 2, "mediaType": list_type,
        "manifests": [descriptor(DOCKER_MANIFEST, docker.as_bytes())],
    });
    server.put_manifest("a", "list", list_type, list.to_string()).await.expect(201);
    for (tag, media_type) in [("one", DOCKER_MANIFEST), ("list", list_type)] {
        let answer = server.send("GET", &format!("/v2/a/manifests/{tag}")).await.expect(200);
        assert_eq!(answer.header("content-type"), media_type);
    }
}

#[tokio::test]
async fn one_put_may_set_many_tags() {
    let server = Server::start().await;
    server.push_blob("a", "{}").await;
    let bytes = image(&[], json!({})).to_string();
    for digest in [sha256(bytes.as_bytes()), sha512(bytes.as_bytes())] {
        let tags: Vec<String> = (0..12).map(|index| format!("{}-{index}", &digest[..6])).collect();
        let query: Vec<String> = tags.iter().map(|tag| format!("tag={tag}")).collect();
        let reference = format!("{digest}?{}", query.join("&"));
        let answer = server.put_manifest("a", &reference, OCI_MANIFEST, bytes.clone()).await.expect(201);
        assert_eq!(answer.header("oci-tag"), tags.join(", "));
        for tag in &tags {
            let answer = server.send("HEAD", &format!("/v2/a/manifests/{tag}")).await.expect(200);
            assert_eq!(answer.header("docker-content-digest"), digest);
        }
        let bad = format!("{digest}?tag=good,.bad");
        server
            .put_manifest("a", &bad, OCI_MANIFEST, bytes.clone())
            .await
            .expect_error(400, "MANIFEST_INVALID");
        let many: Vec<String> = (0..100).map(|index| format!("tag=t{index}")).collect();
        let many = format!("{digest}?{}", many.join("&"));
        server
            .put_manifest("a", &many, OCI_MANIFEST, bytes.clone())
            .await
            .expect_error(414, "MANIFEST_INVALID");
    }
}
