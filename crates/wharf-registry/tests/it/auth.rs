//! Logins, where they are needed.

use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use wharf_base::{SystemClock, Tasks};
use wharf_http::ServerOptions;
use wharf_http::pki::{Authority, ClientAuth};
use wharf_registry::{Config, Deps, Exposure, router, start};
use wharf_test_support::require;

use crate::support::{Client, Server, deps, docker, noise, run, sha256, try_run, write_context};

#[tokio::test]
async fn an_exposed_listener_wants_a_login_and_lets_only_pushers_push() {
    let server = Server::start().await;
    let exposed = router(&server.handle, Exposure { needs_auth: true });
    let listener = wharf_http::bind("test", &["127.0.0.1:0".parse().unwrap()]).await.unwrap().remove(0);
    let address = listener.local_addr().unwrap();
    wharf_http::serve("test", listener, None, exposed, ServerOptions::default(), &server.tasks);
    let client = |credentials: Option<&str>| Client {
        address,
        authorization: credentials.map(|text| format!("Basic {}", STANDARD.encode(text))),
    };
    for credentials in [None, Some("pusher:wrong"), Some("nobody:nobody"), Some("no colon")] {
        for path in ["/v2/", "/v2/a/tags/list", "/nothing"] {
            let refusal = client(credentials).send("GET", path).await.expect_error(401, "UNAUTHORIZED");
            assert_eq!(refusal.header("www-authenticate"), "Basic realm=\"wharf\"");
        }
    }
    let (pusher, puller) = (client(Some("pusher:pusher")), client(Some("puller:puller")));
    pusher.send("GET", "/v2/").await.expect(200);
    let manifest = pusher.push_image("a", "v1", "layer").await;
    assert_eq!(puller.send("GET", "/v2/a/manifests/v1").await.expect(200).body, manifest);
    puller.send("POST", "/v2/a/blobs/uploads/").await.expect_error(403, "DENIED");
    puller.send("DELETE", "/v2/a/manifests/v1").await.expect_error(403, "DENIED");
    puller.send("PUT", "/v2/a/manifests/v2").await.expect_error(403, "DENIED");
    puller.send("GET", "/v2/a/manifests/v1").await.expect(200);
    // Loopback needs none.
    server.send("GET", "/v2/a/manifests/v1").await.expect(200);
}

#[tokio::test]
async fn an_address_off_loopback_speaks_tls_and_docker_logs_in() {
    require!(Docker, Command("docker"), Command("curl"));
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::load_or_create(&directory.path().join("ca")).unwrap();
    let tls = authority.server_config(&["127.0.0.1".to_owned()], ClientAuth::None).unwrap();
    let listen = ["127.0.0.1:0", "0.0.0.0:0"].map(|address| address.parse().unwrap()).to_vec();
    let deps = Deps { tls: Some(tls), ..deps(directory.path(), Arc::new(SystemClock)) };
    let tasks = Tasks::new();
    let handle = start(Config { listen, ..Config::default() }, deps, &tasks).await.unwrap();
    let local = Client { address: handle.addresses()[0], authorization: None };
    local.send("GET", "/v2/").await.expect(200);

    // The Engine's rules for loopback let it accept our CA without being told.
    let address = format!("127.0.0.1:{}", handle.addresses()[1].port());
    let logins = directory.path().join("logins").display().to_string();
    let client = |arguments: &[&str]| docker(&[&["--config", logins.as_str()], arguments].concat());
    let (image, context) = (format!("{address}/shop/web:v1"), directory.path().join("context"));
    std::fs::create_dir(&context).unwrap();
    write_context(&context, u64::from(std::process::id()) + 10);
    run(&mut client(&["build", "-t", &image, context.to_str().unwrap()])).await;
    let (is_pushed, output) = try_run(&mut client(&["push", &image])).await;
    assert!(!is_pushed && output.contains("no basic auth credentials"), "{output}");
    run(&mut client(&["login", "-u", "puller", "-p", "puller", &address])).await;
    let (is_pushed, output) = try_run(&mut client(&["push", &image])).await;
    assert!(!is_pushed && output.contains("denied"), "{output}");
    run(&mut client(&["login", "-u", "pusher", "-p", "pusher", &address])).await;
    run(&mut client(&["push", &image])).await;
    run(&mut client(&["rmi", &image])).await;
    run(&mut client(&["login", "-u", "puller", "-p", "puller", &address])).await;
    run(&mut client(&["pull", &image])).await;
    run(&mut client(&["rmi", &image])).await;

    // HTTP/2, up and down.
    let (file, ca) = (directory.path().join("blob"), directory.path().join("ca.pem"));
    let bytes = noise(4_000_000, 1);
    std::fs::write(&file, &bytes).unwrap();
    std::fs::write(&ca, authority.certificate_pem()).unwrap();
    let curl = |arguments: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["-sSf", "--http2", "-u", "pusher:pusher", "--cacert"]).arg(&ca).args(arguments);
        command
    };
    let digest = sha256(&bytes);
    let push = format!("https://{address}/v2/a/blobs/uploads/?digest={digest}");
    let pull = format!("https://{address}/v2/a/blobs/{digest}");
    let file_text = file.to_str().unwrap();
    let pushed = run(&mut curl(&[
        "-w",
        "%{http_version} %{http_code}",
        "--data-binary",
        &format!("@{file_text}"),
        &push,
    ]))
    .await;
    assert_eq!(pushed, "2 201");
    run(&mut curl(&["-o", file_text, &pull])).await;
    assert!(std::fs::read(&file).unwrap() == bytes);
    tasks.stop(std::time::Duration::from_secs(10)).await;
}
