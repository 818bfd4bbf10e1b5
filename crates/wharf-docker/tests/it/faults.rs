//! An Engine that answers wrongly: cut streams, nonsense, endless lines.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use wharf_base::ErrorCode;
use wharf_docker::build::{self, Build, Builder};
use wharf_docker::{Engine, Error, Output, push};
use wharf_test_support::{TempDir, temp_dir};

/// Answers a ping, then one request with `answer`, and closes.
struct FakeEngine {
    listener: UnixListener,
    path: PathBuf,
    _dir: TempDir,
}

impl FakeEngine {
    fn new() -> FakeEngine {
        let dir = temp_dir();
        let path = dir.path().join("docker.sock");
        FakeEngine { listener: UnixListener::bind(&path).unwrap(), path, _dir: dir }
    }

    async fn serve(&self, answer: &[u8]) {
        let ping = b"HTTP/1.1 200 OK\r\napi-version: 1.41\r\nserver: Docker/20.10 (linux)\r\ncontent-length: 2\r\n\r\nOK";
        for bytes in [ping.as_slice(), answer] {
            let (mut stream, _) = self.listener.accept().await.unwrap();
            let mut request = Vec::new();
            // The whole request, or closing would reset the connection before the answer is read.
            while !request.ends_with(b"\r\n\r\n") && !request.ends_with(b"0\r\n\r\n") {
                let mut buffer = [0; 4096];
                match stream.read(&mut buffer).await.unwrap() {
                    0 => break,
                    count => request.extend_from_slice(&buffer[..count]),
                }
            }
            // The client may have gone away by then, satisfied or not.
            let _ = stream.write_all(bytes).await;
        }
    }

    async fn push(&self, body: &[u8]) -> Error {
        let answer = [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", body].concat();
        let pushing = async {
            let engine = Engine::connect(self.path.to_str().unwrap()).await.unwrap();
            push(&engine, "127.0.0.1:5000/a/b:1", None, &mut Output::discard()).await.unwrap_err()
        };
        tokio::join!(pushing, self.serve(&answer)).0
    }
}

#[tokio::test]
async fn wrong_streams_of_a_push_are_errors() {
    let endless = [b"{\"status\":\"".as_slice(), &vec![b'x'; 9 << 20]].concat();
    for (body, expected) in [
        (b"".as_slice(), "the stream ended without a digest"),
        (b"{\"status\":\"Pushed\"}\r\n", "the stream ended without a digest"),
        (b"{\"status\":\"Pu", "EOF while parsing a string"),
        (b"not json\n", "expected ident"),
        (
            b"{\"aux\":{\"Tag\":\"1\",\"Digest\":\"sha256:xyz\",\"Size\":1}}\n",
            "the stream ended without a digest",
        ),
        (&endless, "a line is longer than 8388608 bytes"),
    ] {
        let error = FakeEngine::new().push(body).await;
        assert_eq!(error.code(), ErrorCode::Unavailable);
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(expected), "{source}");
    }
    let error = FakeEngine::new()
        .push(b"{\"errorDetail\":{\"message\":\"denied: quota\"},\"error\":\"denied: quota\"}\n")
        .await;
    assert_eq!(error.to_string(), "cannot push 127.0.0.1:5000/a/b:1: denied: quota");
}

#[tokio::test]
async fn refusals_and_wrong_traces_of_a_build_are_errors() {
    let context = crate::peers::Context::new(&[("Dockerfile", "FROM scratch\n")]);
    let none = BTreeMap::new();
    let request = Build {
        tag: "x:1",
        context: context.path(),
        dockerfile: "Dockerfile",
        target: None,
        args: &none,
        labels: &none,
        no_cache: false,
        settings: Default::default(),
    };
    for (answer, expected) in [
        ("HTTP/1.1 503 X\r\ncontent-length: 17\r\n\r\n{\"message\":\"full\"", "cannot build x:1: "),
        ("HTTP/1.1 500 X\r\ncontent-length: 18\r\n\r\n{\"message\":\"full\"}", "cannot build x:1: full"),
        (
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"id\":\"moby.buildkit.trace\",\"aux\":\"!\"}\n",
            "cannot read BuildKit's progress: the Docker Engine's answer broke off or makes no sense",
        ),
        (
            "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n",
            "cannot build x:1: the Docker Engine's answer broke off or makes no sense",
        ),
    ] {
        let fake = FakeEngine::new();
        let building = async {
            let engine = Engine::connect(fake.path.to_str().unwrap()).await.unwrap();
            build::run(&engine, Builder::Buildkit, &request, &mut Output::discard()).await.unwrap_err()
        };
        let (error, ()) = tokio::join!(building, fake.serve(answer.as_bytes()));
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}
