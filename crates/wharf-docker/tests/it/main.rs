//! Against the real Docker Engine of this machine, and Debian's docker-registry for pushes.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod build;
mod faults;
mod peers;
mod push;

use wharf_base::ErrorCode;
use wharf_docker::{Engine, Error, logs};
use wharf_test_support::require;

#[tokio::test]
async fn agrees_on_a_version_with_the_engine() {
    require!(Docker);
    let engine = peers::engine().await;
    let minor: u32 = engine.api_version().strip_prefix("1.").unwrap().parse().unwrap();
    assert!(minor >= 41);
    engine.ping().await.unwrap();
    assert_eq!(engine.version().await.unwrap(), engine.docker().version().await.unwrap().version.unwrap());
}

#[tokio::test]
async fn missing_engine_is_told_with_its_address() {
    let error = Engine::connect("unix:///nowhere/docker.sock").await.err().unwrap();
    assert_eq!(error.code(), ErrorCode::Unavailable);
    assert!(
        error.to_string().starts_with("cannot reach the Docker Engine at unix:///nowhere/docker.sock"),
        "{error}"
    );
}

#[tokio::test]
async fn last_lines_of_a_container_that_has_ended() {
    require!(Docker);
    let engine = peers::engine().await;
    let image = peers::tool_image(&engine, "logs").await;
    let words = ["say", "one", "two", "three"];
    let container = peers::container(&engine, &image, &words).await;
    container.wait().await;
    assert_eq!(logs::last_lines(&engine, container.id(), 2).await.unwrap(), ["two", "three"]);
    assert_eq!(logs::last_lines(&engine, container.id(), 50).await.unwrap(), ["one", "two", "three"]);
    container.remove().await;
}

#[tokio::test]
async fn log_of_no_container_is_not_found() {
    require!(Docker);
    let engine = peers::engine().await;
    let error = logs::last_lines(&engine, "wharf-there-is-none", 5).await.unwrap_err();
    assert_eq!((error.status(), error.code()), (Some(404), ErrorCode::NotFound));
    assert!(matches!(error, Error::Refused { .. }));
}

#[tokio::test]
async fn engine_that_has_gone_is_told_as_such() {
    let dir = wharf_test_support::temp_dir();
    let path = dir.path().join("docker.sock");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let answer_one = async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 1024]).await.unwrap();
        let head = b"HTTP/1.1 200 OK\r\napi-version: 1.41\r\nserver: Docker/20.10 (linux)\r\ncontent-length: 2\r\n\r\nOK";
        tokio::io::AsyncWriteExt::write_all(&mut stream, head).await.unwrap();
    };
    let address = path.display().to_string();
    let (engine, ()) = tokio::join!(Engine::connect(&address), answer_one);
    let error = engine.unwrap().version().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot ask for the version: the Docker Engine does not answer (connection refused); \
         hint: is dockerd running? try `docker info`"
    );
    assert_eq!(error.code(), ErrorCode::Unavailable);
}
