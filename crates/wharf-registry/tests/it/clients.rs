//! Real clients: Docker Engine, skopeo, curl.

use std::process::Command;

use wharf_test_support::require;

use crate::support::{Server, docker, noise, run, sha256, write_context};

#[tokio::test]
async fn docker_pushes_and_pulls() {
    require!(Docker, Command("docker"));
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    write_context(directory.path(), std::process::id().into());
    let image = format!("{}/shop/web:v1", server.handle.image_address());
    let copy = format!("{}/copy/of/web:v1", server.handle.image_address());
    run(&mut docker(&["build", "-t", &image, directory.path().to_str().unwrap()])).await;
    let id = run(&mut docker(&["image", "inspect", "-f", "{{.Id}}", &image])).await;
    let pushed = run(&mut docker(&["push", &image])).await;
    let digest = server.send("HEAD", "/v2/shop/web/manifests/v1").await.expect(200);
    let digest = digest.header("docker-content-digest");
    assert!(pushed.contains(digest), "{pushed}");
    // Layers are mounted, not sent again.
    let before = server.handle.stats().bytes_in;
    run(&mut docker(&["tag", &image, &copy])).await;
    let mounted = run(&mut docker(&["push", &copy])).await;
    assert!(mounted.contains("Mounted from shop/web"), "{mounted}");
    assert!(server.handle.stats().bytes_in - before < 100_000);

    run(&mut docker(&["rmi", &image, &copy])).await;
    for reference in [image.clone(), format!("{}@{digest}", image.trim_end_matches(":v1")), copy.clone()] {
        run(&mut docker(&["pull", &reference])).await;
        assert_eq!(run(&mut docker(&["image", "inspect", "-f", "{{.Id}}", &reference])).await, id);
        run(&mut docker(&["rmi", &reference])).await;
    }
}

#[tokio::test]
async fn skopeo_copies_both_ways() {
    require!(Command("skopeo"), Docker, Command("docker"));
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    write_context(directory.path(), std::process::id().into());
    let address = server.handle.image_address();
    let image = format!("{address}/skopeo/source:v1");
    run(&mut docker(&["build", "-t", &image, directory.path().to_str().unwrap()])).await;
    run(&mut docker(&["push", &image])).await;
    run(&mut docker(&["rmi", &image])).await;
    let at = |name: &str| format!("docker://{address}/skopeo/{name}");
    let local = format!("oci:{}:v1", directory.path().join("layout").display());
    let local_again = format!("oci:{}:v1", directory.path().join("again").display());
    for (from, to) in [
        (at("source:v1"), local.clone()),
        (local.clone(), at("target:v1")),
        (at("target:v1"), local_again),
        (at("source:v1"), at("remote:v2")),
    ] {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "--src-tls-verify=false", "--dest-tls-verify=false", &from, &to]);
        run(&mut skopeo).await;
    }
    let index = |name: &str| std::fs::read_to_string(directory.path().join(name).join("index.json")).unwrap();
    assert_eq!(index("layout"), index("again"));
    let tags = run(Command::new("skopeo").args(["list-tags", "--tls-verify=false", &at("remote")])).await;
    assert!(tags.contains("v2"), "{tags}");
    run(Command::new("skopeo").args(["delete", "--tls-verify=false", &at("remote:v2")])).await;
    server.send("GET", "/v2/skopeo/remote/manifests/v2").await.expect_error(404, "MANIFEST_UNKNOWN");
}

#[tokio::test]
async fn curl_uploads_a_stream_and_resumes_a_download() {
    require!(Command("curl"));
    let server = Server::start().await;
    let directory = tempfile::tempdir().unwrap();
    let bytes = noise(3_000_000, 5);
    let (file, got) = (directory.path().join("blob"), directory.path().join("got"));
    std::fs::write(&file, &bytes).unwrap();
    let root = format!("http://{}", server.address);
    let location = format!("{root}{}", server.open_upload("a").await);
    let chunked = ["-H", "Transfer-Encoding: chunked", "-X", "PATCH", "-T"];
    run(Command::new("curl").args(["-sSf"]).args(chunked).arg(&file).arg(&location)).await;
    let digest = sha256(&bytes);
    run(Command::new("curl").args(["-sSf", "-X", "PUT", &format!("{location}?digest={digest}")])).await;
    std::fs::write(&got, &bytes[..1_234_567]).unwrap();
    let url = format!("{root}/v2/a/blobs/{digest}");
    run(Command::new("curl").args(["-sSf", "-C", "-", "-o"]).arg(&got).arg(&url)).await;
    assert!(std::fs::read(&got).unwrap() == bytes);
    // An early refusal of a large body is still an answer, with and without `Expect: 100-continue`.
    for expect in ["Expect:", "Expect: 100-continue"] {
        let status = run(Command::new("curl")
            .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", expect, "-X", "PATCH", "-T"])
            .arg(&file)
            .arg(format!("{root}/v2/a/blobs/uploads/none")))
        .await;
        assert_eq!(status, "404", "{expect}");
    }
}
