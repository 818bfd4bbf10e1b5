//! Tag lists, the catalog, referrers, and the console's view.

use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{EMPTY_CONFIG, OCI_INDEX, OCI_MANIFEST, Server, descriptor, image, sha256};

#[tokio::test]
async fn tags_come_in_bytewise_order_and_in_pages() {
    let server = Server::start().await;
    server.send("GET", "/v2/a/tags/list").await.expect_error(404, "NAME_UNKNOWN");
    let mut tags = ["b", "a", "B", "_", "v1.10", "v1.9", "v1-0", "0"];
    for tag in tags {
        server.push_image("a", tag, "layer").await;
    }
    tags.sort_unstable();
    let all = server.send("GET", "/v2/a/tags/list").await.expect(200);
    assert_eq!(all.json(), json!({ "name": "a", "tags": tags }));
    assert!(!all.has("link"));
    let rest = server.send("GET", "/v2/a/tags/list?last=a").await.expect(200);
    assert_eq!(rest.json()["tags"], json!(["b", "v1-0", "v1.10", "v1.9"]));
    // `last` need not exist.
    let rest = server.send("GET", "/v2/a/tags/list?last=azzz&n=1").await.expect(200);
    assert_eq!(rest.json()["tags"], json!(["b"]));
    let none = server.send("GET", "/v2/a/tags/list?n=0").await.expect(200);
    assert_eq!(none.json()["tags"], json!([]));
    assert!(!none.has("link"));
    server.send("GET", "/v2/a/tags/list?n=-1").await.expect_error(400, "PAGINATION_NUMBER_INVALID");

    for size in 1..=9 {
        assert_eq!(pages(&server, &format!("/v2/a/tags/list?n={size}"), "tags").await, tags, "n={size}");
    }
}

#[tokio::test]
async fn the_catalog_lists_repositories_that_have_something() {
    let server = Server::start().await;
    let empty = server.send("GET", "/v2/_catalog").await.expect(200);
    assert_eq!(empty.json(), json!({ "repositories": [] }));
    server.push_blob("only/a/blob", "x").await;
    for name in ["b", "a/b", "a"] {
        server.push_image(name, "v1", "layer").await;
    }
    let names = ["a", "a/b", "b"];
    assert_eq!(server.send("GET", "/v2/_catalog").await.json()["repositories"], json!(names));
    for size in 1..=4 {
        assert_eq!(pages(&server, &format!("/v2/_catalog?n={size}"), "repositories").await, names);
    }
}

/// Follows `Link` to the end.
async fn pages(server: &Server, path: &str, key: &str) -> Vec<String> {
    let mut path = path.to_owned();
    let mut all = Vec::new();
    loop {
        let answer = server.send("GET", &path).await.expect(200);
        let items = answer.json()[key].as_array().unwrap().clone();
        all.extend(items.iter().map(|item| item.as_str().unwrap().to_owned()));
        if !answer.has("link") {
            return all;
        }
        let (target, relation) = answer.header("link").split_once(';').unwrap();
        assert_eq!(relation, " rel=\"next\"");
        path = target.trim_matches(['<', '>']).to_owned();
    }
}

async fn referrers(server: &Server, digest: &str, filter: &str) -> Vec<Value> {
    let answer = server.send("GET", &format!("/v2/a/referrers/{digest}{filter}")).await.expect(200);
    assert_eq!(answer.header("content-type"), OCI_INDEX);
    assert_eq!(answer.has("oci-filters-applied"), !filter.is_empty());
    let index = answer.json();
    assert_eq!((&index["schemaVersion"], &index["mediaType"]), (&json!(2), &json!(OCI_INDEX)));
    index["manifests"].as_array().unwrap().clone()
}

#[tokio::test]
async fn referrers_of_a_manifest() {
    let server = Server::start().await;
    // Never 404, whatever is missing.
    assert!(referrers(&server, &sha256(b"never"), "").await.is_empty());
    server.send("GET", "/v2/a/referrers/bad").await.expect_error(400, "DIGEST_INVALID");

    let subject = server.push_image("a", "v1", "layer").await;
    let digest = sha256(subject.as_bytes());
    let subject = descriptor(OCI_MANIFEST, subject.as_bytes());
    let typed = image(
        &[],
        json!({
            "artifactType": "application/vnd.example.sbom", "subject": subject,
            "config": descriptor(EMPTY_CONFIG, b"{}"), "annotations": { "a": "b" },
        }),
    );
    let by_config = image(&[], json!({ "subject": subject }));
    let index = json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "subject": subject });
    let mut expected = Vec::new();
    for (media_type, manifest, artifact_type) in [
        (OCI_MANIFEST, &typed, json!("application/vnd.example.sbom")),
        (OCI_MANIFEST, &by_config, json!("application/vnd.oci.image.config.v1+json")),
        (OCI_INDEX, &index, Value::Null),
    ] {
        let bytes = manifest.to_string();
        let mut descriptor = descriptor(media_type, bytes.as_bytes());
        if !artifact_type.is_null() {
            descriptor["artifactType"] = artifact_type;
        }
        if manifest["annotations"].is_object() {
            descriptor["annotations"] = manifest["annotations"].clone();
        }
        expected.push(descriptor);
        let reference = sha256(bytes.as_bytes());
        let answer = server.put_manifest("a", &reference, media_type, bytes).await.expect(201);
        assert_eq!(answer.header("oci-subject"), digest);
    }
    expected.sort_by_key(|descriptor| descriptor["digest"].to_string());
    assert_eq!(referrers(&server, &digest, "").await, expected);
    let sboms = referrers(&server, &digest, "?artifactType=application%2Fvnd.example.sbom").await;
    assert_eq!(sboms.len(), 1);
    assert_eq!(sboms[0]["annotations"], json!({ "a": "b" }));
    assert!(referrers(&server, &digest, "?artifactType=none").await.is_empty());

    // A subject that isn't there yet; and a deletion shows at once.
    let early = image(&[], json!({ "subject": descriptor(OCI_MANIFEST, b"later") })).to_string();
    let reference = sha256(early.as_bytes());
    let answer = server.put_manifest("a", "early", OCI_MANIFEST, early).await.expect(201);
    assert_eq!(answer.header("oci-subject"), sha256(b"later"));
    assert_eq!(referrers(&server, &sha256(b"later"), "").await.len(), 1);
    server.send("DELETE", &format!("/v2/a/manifests/{reference}")).await.expect(202);
    assert!(referrers(&server, &sha256(b"later"), "").await.is_empty());
}

#[tokio::test]
async fn the_console_sees_repositories_and_tags() {
    let server = Server::start().await;
    server.push_image("shop/web", "v1", "layer").await;
    server.push_image("shop/web", "v2", "other").await;
    let routes = axum::Router::from(wharf_registry::routes(server.handle.clone()));
    let get = async |path: &str| {
        let request = http::Request::get(path).body(axum::body::Body::empty()).unwrap();
        let response = routes.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice::<Value>(&body).unwrap())
    };
    let (_, repositories) = get("/registry/repositories").await;
    assert_eq!(repositories[0]["name"], "shop/web");
    assert_eq!((&repositories[0]["tags"], &repositories[0]["manifests"]), (&json!(2), &json!(2)));
    let (_, tags) = get("/registry/repositories/shop/web/tags").await;
    assert_eq!(tags.as_array().unwrap().len(), 2);
    assert!(tags[0]["bytes"].as_u64().unwrap() > 7);
    assert_eq!(get("/registry/repositories/none/tags").await.0, 404);
    assert_eq!(get("/registry/repositories/shop/web").await.0, 404);
    let (_, stats) = get("/registry/stats").await;
    assert_eq!(stats["pushes"], 6);
}
