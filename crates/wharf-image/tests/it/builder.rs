//! The port `ImageBuilder`, from a folder to a reference by digest.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tower::ServiceExt;
use wharf_base::{ErrorCode, SystemClock, Tasks};
use wharf_docker::Engine;
use wharf_image::{BuilderChoice, Config, Deps, Handle, routes, start};
use wharf_model::ports::{BuildRequest, BuiltImage, ImageBuilder, PortError};
use wharf_test_support::require;

use crate::peers::{Folder, Registry};

fn builder(config: Config) -> Handle {
    let deps = Deps {
        engine: wharf_docker::DEFAULT_SOCKET.to_owned(),
        credentials: None,
        clock: Arc::new(SystemClock),
    };
    start(config, deps, &Tasks::new())
}

fn request(folder: &Folder, reference: &str) -> BuildRequest {
    let packed = folder.pack().unwrap();
    BuildRequest {
        reference: reference.to_owned(),
        context: folder.archive(),
        dockerfile: packed.dockerfile,
        target: None,
        args: BTreeMap::from([("VERSION".to_owned(), "7".to_owned())]),
        labels: BTreeMap::from([("wharf.app".to_owned(), "shop".to_owned())]),
        settings: Default::default(),
    }
}

async fn build(handle: &Handle, request: BuildRequest) -> (Result<BuiltImage, PortError>, Vec<String>) {
    let (sender, mut receiver) = mpsc::channel(1000);
    let built = handle.build(request, sender).await;
    let mut lines = Vec::new();
    while let Some(line) = receiver.recv().await {
        lines.push(line);
    }
    (built, lines)
}

#[tokio::test]
async fn built_image_is_in_the_registry_under_the_returned_digest() {
    require!(Docker, Command("docker-registry"));
    let registry = Registry::start().await;
    let folder = Folder::with(&[
        ("Dockerfile", "FROM scratch\nARG VERSION\nENV VERSION=$VERSION\nCOPY x /x\n"),
        ("x", "content"),
    ]);
    for choice in [BuilderChoice::Buildkit, BuilderChoice::Classic] {
        let handle = builder(Config { builder: choice, ..Config::default() });
        let name = format!("{}/shop/web", registry.address);
        let (built, lines) = build(&handle, request(&folder, &format!("{name}:r1"))).await;
        let built = built.unwrap_or_else(|error| panic!("{error}\n{lines:#?}"));
        assert_eq!(built.reference, format!("{name}@{}", built.digest));
        assert_eq!(lines.last().unwrap(), &format!("pushed {}", built.reference));

        // A peer reads it from the registry.
        let inspect = Command::new("curl")
            .args(["-fsSI", "-H", "Accept: application/vnd.docker.distribution.manifest.v2+json"])
            .arg(format!("http://{}/v2/shop/web/manifests/{}", registry.address, built.digest))
            .output()
            .unwrap();
        let head = String::from_utf8_lossy(&inspect.stdout).to_lowercase();
        assert!(
            inspect.status.success() && head.contains(&format!("docker-content-digest: {}", built.digest)),
            "{head}"
        );

        let engine = Engine::connect_default().await.unwrap();
        let config = engine.docker().inspect_image(&built.reference).await.unwrap().config.unwrap();
        assert!(config.env.unwrap().contains(&"VERSION=7".to_owned()));
        assert_eq!(config.labels.unwrap()["wharf.app"], "shop");
        let options = None::<wharf_docker::bollard::query_parameters::RemoveImageOptions>;
        engine.docker().remove_image(&format!("{name}:r1"), options, None).await.unwrap();
    }
}

#[tokio::test]
async fn failed_step_is_named_and_counted() {
    require!(Docker);
    let folder = Folder::with(&[("Dockerfile", "FROM scratch\nCOPY missing.txt /x\n")]);
    let handle = builder(Config::default());
    let (built, lines) = build(&handle, request(&folder, "wharf-image-test:fails")).await;
    let error = built.unwrap_err();
    assert_eq!(error.code, ErrorCode::InvalidArgument);
    assert!(error.message.contains("COPY missing.txt /x`: "), "{}", error.message);
    assert!(error.message.contains("missing.txt"), "{}", error.message);
    assert!(lines.iter().any(|line| line.contains("ERROR")), "{lines:#?}");
    let builds = handle.builds();
    assert_eq!(
        (builds.running.len(), builds.failed, builds.ended[0].error.as_ref()),
        (0, 1, Some(&error.message))
    );

    let ask = axum::http::Request::get("/builds").body(axum::body::Body::empty()).unwrap();
    let answer = axum::Router::from(routes(handle)).oneshot(ask).await.unwrap();
    let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["ended"][0]["reference"], "wharf-image-test:fails");
}

#[tokio::test]
async fn missing_engine_is_told() {
    let folder = Folder::with(&[("Dockerfile", "FROM scratch\n")]);
    let deps = Deps { engine: "/nowhere.sock".to_owned(), credentials: None, clock: Arc::new(SystemClock) };
    let handle = start(Config::default(), deps, &Tasks::new());
    let error = build(&handle, request(&folder, "x:1")).await.0.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unavailable);
    assert!(
        error.message.contains("cannot reach the Docker Engine at unix:///nowhere.sock"),
        "{}",
        error.message
    );
}

#[tokio::test]
async fn builds_take_turns_and_too_many_are_refused() {
    let listener = Stuck::listen();
    let deps = Deps { engine: listener.address(), credentials: None, clock: Arc::new(SystemClock) };
    let tasks = Tasks::new();
    let config = Config { concurrent_max: 1, waiting_max: 1, ..Config::default() };
    let handle = start(config, deps, &tasks);
    let folder = Folder::with(&[("Dockerfile", "FROM scratch\n")]);
    let run = |reference: &str| {
        let (handle, request) = (handle.clone(), request(&folder, reference));
        async move { build(&handle, request).await.0.unwrap_err() }
    };
    let (first, second) = (run("x:1"), run("x:2"));
    let third_then_stop = async {
        let both_are_in = async {
            while handle.builds().running.is_empty() || handle.builds().waiting == 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), both_are_in).await.unwrap();
        let third = run("x:3").await;
        tasks.stop(Duration::from_secs(1)).await;
        third
    };
    let (first, second, third) = tokio::join!(first, second, third_then_stop);
    assert_eq!((first.code, second.code), (ErrorCode::Cancelled, ErrorCode::Cancelled));
    assert_eq!(third.code, ErrorCode::ResourceExhausted);
    assert!(third.message.starts_with("cannot build x:3: 1 builds wait already"), "{}", third.message);
    let builds = handle.builds();
    assert_eq!((builds.running.len(), builds.waiting, builds.failed, builds.refused), (0, 0, 1, 1));
}

#[tokio::test]
async fn build_that_hangs_is_ended() {
    let listener = Stuck::listen();
    let deps = Deps { engine: listener.address(), credentials: None, clock: Arc::new(SystemClock) };
    let config = Config { timeout: Duration::from_millis(50), ..Config::default() };
    let handle = start(config, deps, &Tasks::new());
    let folder = Folder::with(&[("Dockerfile", "FROM scratch\n")]);
    let error = build(&handle, request(&folder, "x:1")).await.0.unwrap_err();
    assert_eq!(error.code, ErrorCode::DeadlineExceeded);
    assert_eq!(error.message, "the build of x:1 was ended after 50ms; hint: image.timeout is the limit");
}

/// A socket at which somebody listens and never answers.
struct Stuck {
    dir: wharf_test_support::TempDir,
    _listener: std::os::unix::net::UnixListener,
}

impl Stuck {
    fn listen() -> Stuck {
        let dir = wharf_test_support::temp_dir();
        let listener = std::os::unix::net::UnixListener::bind(dir.path().join("s")).unwrap();
        Stuck { dir, _listener: listener }
    }

    fn address(&self) -> String {
        self.dir.path().join("s").display().to_string()
    }
}
