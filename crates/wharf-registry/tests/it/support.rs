//! A registry on a free port, and a client that shows the raw answer.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use wharf_base::{Clock, SystemClock, Tasks};
use wharf_disk::cas::{Algorithm, digest_of};
use wharf_model::Event;
use wharf_model::ports::{EventSink, RegistryAccess, RegistryUser};
use wharf_registry::{Config, Deps, Handle};

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const EMPTY_CONFIG: &str = "application/vnd.oci.empty.v1+json";

/// A registry and its directory; both end with the value.
pub(crate) struct Server {
    pub(crate) handle: Handle,
    pub(crate) client: Client,
    pub(crate) tasks: Tasks,
    pub(crate) directory: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Server {
        Server::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Server {
        Server::with_clock(config, Arc::new(SystemClock)).await
    }

    pub(crate) async fn with_clock(config: Config, clock: Arc<dyn Clock>) -> Server {
        let directory = tempfile::tempdir().unwrap();
        let tasks = Tasks::new();
        let handle = start_in(directory.path(), config, clock, &tasks).await.unwrap();
        let client = Client { address: handle.addresses()[0], authorization: None };
        Server { handle, client, tasks, directory }
    }
}

impl std::ops::Deref for Server {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

pub(crate) async fn start_in(
    directory: &Path,
    config: Config,
    clock: Arc<dyn Clock>,
    tasks: &Tasks,
) -> Result<Handle, wharf_registry::Error> {
    let config = Config { listen: vec!["127.0.0.1:0".parse().unwrap()], ..config };
    wharf_registry::start(config, deps(directory, clock), tasks).await
}

pub(crate) fn deps(directory: &Path, clock: Arc<dyn Clock>) -> Deps {
    let (data, access, events) = (directory.to_owned(), Arc::new(Users), Arc::new(Dropped));
    Deps { data, access, tls: None, clock, events }
}

/// `pusher` and `puller`, each with its name as password.
pub(crate) struct Users;

impl RegistryAccess for Users {
    fn check(&self, user: &str, password: &str) -> Option<RegistryUser> {
        let is_known = user == password && ["pusher", "puller"].contains(&user);
        is_known.then(|| RegistryUser { name: user.to_owned(), may_push: user == "pusher" })
    }
}

struct Dropped;

impl EventSink for Dropped {
    fn emit(&self, _: Event) {}
}

/// Sends one request per connection.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    pub(crate) authorization: Option<String>,
}

/// An answer as it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Client {
    pub(crate) async fn send(&self, method: &str, path: &str) -> Answer {
        self.send_with(method, path, &[], Bytes::new()).await
    }

    pub(crate) async fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let body = Full::new(body.into()).map_err(|never| match never {}).boxed();
        self.try_send(method, path, headers, body).await.unwrap()
    }

    /// With `Transfer-Encoding: chunked`, as Docker sends layers.
    pub(crate) async fn send_stream(&self, method: &str, path: &str, pieces: Vec<Bytes>) -> Answer {
        let frames = pieces.into_iter().map(|piece| Ok(Frame::data(piece)));
        let body = StreamBody::new(futures_util::stream::iter(frames)).boxed();
        self.try_send(method, path, &[], body).await.unwrap()
    }

    pub(crate) async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: BoxBody<Bytes, std::io::Error>,
    ) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let mut request =
            Request::builder().method(method).uri(path).header("host", self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let exchange = async move {
            let response = sender.send_request(request.body(body)?).await?;
            let (parts, body) = response.into_parts();
            let body = body.collect().await?.to_bytes();
            Ok(Answer { status: parts.status, headers: parts.headers, body })
        };
        tokio::pin!(exchange);
        // The connection ends by itself with the answer; an error of it shows in the exchange.
        tokio::select! {
            answer = &mut exchange => answer,
            _ = connection => exchange.await,
        }
    }

    /// Pushes a blob in one request and returns its digest.
    pub(crate) async fn push_blob(&self, repository: &str, bytes: impl Into<Bytes>) -> String {
        let bytes = bytes.into();
        let digest = sha256(&bytes);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        self.send_with("POST", &path, &[], bytes).await.expect(201);
        digest
    }

    /// Opens an upload and returns its location.
    pub(crate) async fn open_upload(&self, repository: &str) -> String {
        let answer = self.send("POST", &format!("/v2/{repository}/blobs/uploads/")).await;
        answer.expect(202).header("location").to_owned()
    }

    pub(crate) async fn put_manifest(
        &self,
        repository: &str,
        reference: &str,
        media_type: &str,
        bytes: impl Into<Bytes>,
    ) -> Answer {
        let path = format!("/v2/{repository}/manifests/{reference}");
        self.send_with("PUT", &path, &[("content-type", media_type)], bytes).await
    }

    /// Pushes a config and one layer with `content`, and an image manifest by tag. Returns the manifest.
    pub(crate) async fn push_image(&self, repository: &str, tag: &str, content: &str) -> String {
        self.push_blob(repository, "{}").await;
        self.push_blob(repository, content.to_owned()).await;
        let manifest = image(&[content.as_bytes()], json!({})).to_string();
        self.put_manifest(repository, tag, OCI_MANIFEST, manifest.clone()).await.expect(201);
        manifest
    }
}

/// Runs a command to its end and returns what it printed; panics with that if it fails.
pub(crate) async fn run(command: &mut Command) -> String {
    let text = format!("{command:?}");
    let (is_good, output) = try_run(command).await;
    assert!(is_good, "{text}\n{output}");
    output
}

/// Runs a command to its end: whether it succeeded, and what it printed.
pub(crate) async fn try_run(command: &mut Command) -> (bool, String) {
    // Not blocking: the server that it talks to runs on the same thread.
    let mut command = tokio::process::Command::from(std::mem::replace(command, Command::new("true")));
    let Output { status, stdout, stderr } = command.output().await.unwrap();
    let output = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    (status.success(), output)
}

/// The `docker` command, held to what Engine 20.10 speaks.
pub(crate) fn docker(arguments: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.args(arguments).env("DOCKER_API_VERSION", "1.41").env("DOCKER_BUILDKIT", "0");
    command
}

/// The context of an image with two layers; `seed` makes it one that the Engine has not seen.
pub(crate) fn write_context(directory: &Path, seed: u64) {
    let dockerfile = "FROM scratch\nCOPY one /one\nCOPY two /two\nCMD [\"/one\"]\n";
    std::fs::write(directory.join("Dockerfile"), dockerfile).unwrap();
    std::fs::write(directory.join("one"), noise(300_000, seed)).unwrap();
    std::fs::write(directory.join("two"), noise(2_000_000, seed + 1)).unwrap();
}

impl Answer {
    /// Panics unless the status is this one.
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    /// Panics unless it is a refusal with this status and code.
    #[track_caller]
    pub(crate) fn expect_error(self, status: u16, code: &str) -> Answer {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.json()["errors"][0]["code"], code, "{}", self.text());
        assert!(self.json()["errors"][0]["message"].as_str().is_some_and(|text| !text.is_empty()));
        self
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        let value =
            self.headers.get(name).unwrap_or_else(|| panic!("no header {name} in {:?}", self.headers));
        value.to_str().unwrap()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(400).collect()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    digest_of(Algorithm::Sha256, bytes).to_string()
}

pub(crate) fn sha512(bytes: &[u8]) -> String {
    digest_of(Algorithm::Sha512, bytes).to_string()
}

/// Adds `&` or `?` and a parameter to a location, as clients must.
pub(crate) fn with_parameter(location: &str, parameter: &str) -> String {
    let separator = if location.contains('?') { '&' } else { '?' };
    format!("{location}{separator}{parameter}")
}

pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": sha256(bytes), "size": bytes.len() })
}

/// An image manifest with the config `{}` and these layers; the fields of `more` are added or replace others.
pub(crate) fn image(layers: &[&[u8]], more: Value) -> Value {
    let layer = |bytes: &&[u8]| descriptor("application/vnd.oci.image.layer.v1.tar+gzip", bytes);
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", b"{}"),
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    });
    for (key, value) in more.as_object().expect("an object") {
        manifest[key] = value.clone();
    }
    manifest
}

/// Bytes that differ from place to place.
pub(crate) fn noise(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}
