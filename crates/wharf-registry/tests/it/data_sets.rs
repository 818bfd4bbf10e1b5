//! Seventeen data sets of the OCI conformance suite (the eighteenth, a bad digest, is in `manifests`): push everything,
//! read it back in every way, delete it from the top down, and each part must be gone at once.

use serde_json::{Value, json};

use crate::support::{
    EMPTY_CONFIG, OCI_INDEX, OCI_MANIFEST, Server, descriptor, image, noise, sha256, sha512,
};

/// What is pushed, in this order.
#[derive(Default)]
struct DataSet {
    blobs: Vec<Vec<u8>>,
    /// Media type and bytes; children before parents.
    manifests: Vec<(&'static str, String)>,
    /// The last manifest is pushed by this tag too; `None` where only a digest will do.
    is_tagged: bool,
    uses_sha512: bool,
}

fn images(manifests: &[Value]) -> DataSet {
    let text = |manifest: &Value| {
        let media_type = if manifest["mediaType"] == OCI_INDEX { OCI_INDEX } else { OCI_MANIFEST };
        (media_type, manifest.to_string())
    };
    DataSet {
        blobs: vec![b"{}".to_vec(), noise(2_048, 1), noise(4_096, 2)],
        manifests: manifests.iter().map(text).collect(),
        is_tagged: true,
        uses_sha512: false,
    }
}

fn index(children: &[&Value], more: Value) -> Value {
    let child = |manifest: &&Value| {
        let media_type = manifest["mediaType"].as_str().unwrap();
        descriptor(media_type, manifest.to_string().as_bytes())
    };
    let mut index = json!({
        "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children.iter().map(child).collect::<Vec<_>>(),
    });
    for (key, value) in more.as_object().unwrap() {
        index[key] = value.clone();
    }
    index
}

fn subject_of(manifest: &Value) -> Value {
    descriptor(manifest["mediaType"].as_str().unwrap(), manifest.to_string().as_bytes())
}

fn data_sets() -> Vec<(&'static str, DataSet)> {
    let (one, two) = (noise(2_048, 1), noise(4_096, 2));
    let layers: [&[u8]; 2] = [&one, &two];
    let plain = image(&layers, json!({}));
    let other = image(&layers[..1], json!({}));
    let annotations: serde_json::Map<String, Value> =
        (0..390).map(|index| (format!("key-{index}"), json!("x".repeat(10_000)))).collect();
    let artifact =
        json!({ "artifactType": "application/vnd.example", "config": descriptor(EMPTY_CONFIG, b"{}") });
    let with_subject = |manifest: &Value, more: &Value| {
        let mut more = more.clone();
        more["subject"] = subject_of(manifest);
        image(&layers[..1], more)
    };
    let elsewhere = json!({
        "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
        "digest": sha256(b"never pushed"), "size": 12, "urls": ["https://example.com/layer"],
    });
    let embedded = json!({ "mediaType": EMPTY_CONFIG, "digest": sha256(b"{}"), "size": 2, "data": "e30=" });
    let inner = index(&[&plain], json!({}));
    let mut by_sha512 = images(&[]);
    let bytes = &by_sha512.blobs[1];
    let layer = json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": sha512(bytes), "size": bytes.len() });
    let config = json!({ "mediaType": EMPTY_CONFIG, "digest": sha512(b"{}"), "size": 2 });
    by_sha512.manifests =
        vec![(OCI_MANIFEST, image(&[], json!({ "layers": [layer], "config": config })).to_string())];
    (by_sha512.is_tagged, by_sha512.uses_sha512) = (false, true);
    vec![
        ("image", images(std::slice::from_ref(&plain))),
        (
            "uncompressed",
            images(&[image(
                &[],
                json!({ "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &one)] }),
            )]),
        ),
        ("large manifest", images(&[image(&layers, json!({ "annotations": annotations }))])),
        ("index", images(&[plain.clone(), other.clone(), index(&[&plain, &other], json!({}))])),
        ("nested index", images(&[plain.clone(), inner.clone(), index(&[&inner], json!({}))])),
        ("empty index", images(&[index(&[], json!({}))])),
        ("artifact", images(&[image(&layers, artifact.clone())])),
        ("artifact index", images(&[index(&[], json!({ "artifactType": "application/vnd.example" }))])),
        ("artifact without layers", images(&[image(&[], artifact.clone())])),
        (
            "artifacts with subject",
            images(&[plain.clone(), with_subject(&plain, &artifact), with_subject(&plain, &json!({}))]),
        ),
        (
            "index with subject",
            images(&[plain.clone(), index(&[&plain], json!({ "subject": subject_of(&plain) }))]),
        ),
        ("missing subject", images(&[with_subject(&json!({ "mediaType": OCI_MANIFEST }), &artifact)])),
        ("data field", images(&[image(&layers, json!({ "config": embedded }))])),
        ("non-distributable layers", images(&[image(&[], json!({ "layers": [elsewhere] }))])),
        ("custom fields", images(&[image(&layers, json!({ "org.example": { "any": [1, null] } }))])),
        ("no layers", images(&[image(&[], json!({}))])),
        ("sha512", by_sha512),
    ]
}

#[tokio::test]
async fn every_data_set_goes_in_and_out() {
    let server = Server::start().await;
    for (number, (name, set)) in data_sets().into_iter().enumerate() {
        round_trip(&server, &format!("conformance/set-{number}"), &set).await;
        println!("{name}: good");
    }
    assert_eq!(server.send("GET", "/v2/_catalog").await.json()["repositories"], json!([]));
}

async fn round_trip(server: &Server, repository: &str, set: &DataSet) {
    let digest = if set.uses_sha512 { sha512 } else { sha256 };
    for blob in &set.blobs {
        let path = format!("/v2/{repository}/blobs/uploads/?digest={}", digest(blob));
        server.send_with("POST", &path, &[], blob.clone()).await.expect(201);
    }
    for (media_type, bytes) in &set.manifests {
        let reference = digest(bytes.as_bytes());
        let answer = server.put_manifest(repository, &reference, media_type, bytes.clone()).await.expect(201);
        assert_eq!(answer.header("docker-content-digest"), reference);
        let subject = &serde_json::from_str::<Value>(bytes).unwrap()["subject"]["digest"];
        assert_eq!(answer.has("oci-subject"), subject.is_string());
        if let Some(subject) = subject.as_str() {
            let list = server.send("GET", &format!("/v2/{repository}/referrers/{subject}")).await.expect(200);
            let listed =
                list.json()["manifests"].as_array().unwrap().iter().any(|it| it["digest"] == reference);
            assert!(listed, "{reference} is not among the referrers");
        }
    }
    let (media_type, last) = set.manifests.last().unwrap();
    if set.is_tagged {
        server.put_manifest(repository, "latest", media_type, last.clone()).await.expect(201);
        let tags = server.send("GET", &format!("/v2/{repository}/tags/list?last=a")).await.expect(200);
        assert_eq!(tags.json()["tags"], json!(["latest"]));
    }
    let path = |reference: &str| format!("/v2/{repository}/manifests/{reference}");
    let mut references: Vec<(String, &str, &String)> = set
        .manifests
        .iter()
        .map(|(media_type, bytes)| (digest(bytes.as_bytes()), *media_type, bytes))
        .collect();
    if set.is_tagged {
        references.push(("latest".to_owned(), media_type, last));
    }
    for (reference, media_type, bytes) in &references {
        for method in ["HEAD", "GET"] {
            let answer = server.send(method, &path(reference)).await.expect(200);
            assert_eq!(answer.header("content-type"), *media_type);
            assert_eq!(answer.header("content-length"), bytes.len().to_string());
            assert_eq!(answer.header("docker-content-digest"), digest(bytes.as_bytes()));
            if method == "GET" {
                assert_eq!(answer.body, bytes.as_str());
            }
        }
    }
    // The tag first, then from the top down.
    for (reference, _, _) in references.iter().rev() {
        server.send("DELETE", &path(reference)).await.expect(202);
        server.send("HEAD", &path(reference)).await.expect(404);
    }
    for blob in &set.blobs {
        let path = format!("/v2/{repository}/blobs/{}", digest(blob));
        server.send("DELETE", &path).await.expect(202);
        server.send("HEAD", &path).await.expect(404);
    }
}
