//! One Docker Engine: where it is, which API version both speak, and a client for it.
//!
//! bollard's own `negotiate_version` can't be used: it asks `/v1.53/version`, which Engine 20.10 answers with
//! "client version 1.53 is too new" (400). We ask `/_ping`, which has no version in its path, and make the client
//! with the lower of both versions from the start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use hyper::{Method, Request};

use crate::Error;
use crate::raw::{self, Call};

/// Where Docker's packages put the socket.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Time for one answer of the Engine outside of streams. Removing a container of many GB takes up to a minute.
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// A ping is answered from memory; an Engine that can't is not usable.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Engine 20.10. Request shapes are kept to this version.
const OLDEST_MINOR: usize = 41;

/// An Engine that answered a ping. Cheap to clone. Calls after a restart of the Engine work again by themselves,
/// as each opens its own connection.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    docker: Docker,
    socket: PathBuf,
    version: String,
    minor: u32,
    has_buildkit: bool,
}

impl Engine {
    /// Connects to the Engine at `address`, a path or `unix:///path`, and agrees on the API version.
    ///
    /// Errors: `Unreachable` when nobody answers, `TooOld` below API 1.41.
    pub async fn connect(address: &str) -> Result<Engine, Error> {
        let socket = socket_path(address)?;
        let ping = Ping::ask(&socket).await?;
        let minor = ping.minor_version(&socket)?.min(API_DEFAULT_VERSION.minor_version);
        let version = ClientVersion { major_version: 1, minor_version: minor };
        let docker = Docker::connect_with_unix(
            socket.to_str().ok_or_else(|| Error::Address(address.to_owned()))?,
            CALL_TIMEOUT.as_secs(),
            &version,
        )
        .map_err(|error| Error::api("open the socket", error))?;
        let has_buildkit = ping.has_buildkit();
        let version = format!("1.{minor}");
        let minor = u32::try_from(minor).unwrap_or(u32::MAX);
        tracing::debug!(socket = %socket.display(), version, has_buildkit, "docker engine found");
        Ok(Engine { inner: Arc::new(Inner { docker, socket, version, minor, has_buildkit }) })
    }

    /// Connects to the Engine of this machine: `$DOCKER_HOST` if it is set, else [`DEFAULT_SOCKET`].
    pub async fn connect_default() -> Result<Engine, Error> {
        match std::env::var("DOCKER_HOST") {
            Ok(address) if !address.is_empty() => Engine::connect(&address).await,
            _ => Engine::connect(DEFAULT_SOCKET).await,
        }
    }

    /// The client for everything that bollard can do, at the agreed version.
    pub fn docker(&self) -> &Docker {
        &self.inner.docker
    }

    /// Path of the socket.
    pub fn socket(&self) -> &Path {
        &self.inner.socket
    }

    /// The agreed API version, `1.41`.
    pub fn api_version(&self) -> &str {
        &self.inner.version
    }

    /// The part of [`Engine::api_version`] after the dot.
    pub fn api_minor(&self) -> u32 {
        self.inner.minor
    }

    /// The Engine's own version, `20.10.24`, as it says now.
    pub async fn version(&self) -> Result<String, Error> {
        let version =
            self.docker().version().await.map_err(|error| Error::api("ask for the version", error))?;
        Ok(version.version.unwrap_or_else(|| "unknown".to_owned()))
    }

    /// The Engine can build with BuildKit and was not told otherwise in its daemon.json.
    pub fn has_buildkit(&self) -> bool {
        self.inner.has_buildkit
    }

    /// Asks the Engine for a sign of life, within ten seconds.
    pub async fn ping(&self) -> Result<(), Error> {
        Ping::ask(self.socket()).await.map(drop)
    }

    /// Sends a request of our own, with a path such as `/build?t=x`, to which the version is added.
    pub(crate) async fn send(
        &self,
        doing: &str,
        method: Method,
        path_and_query: &str,
        headers: &[(&'static str, String)],
        body: raw::Body,
    ) -> Result<Call, Error> {
        let uri = format!("/v{}{path_and_query}", self.api_version());
        let mut request = Request::builder().method(method).uri(uri).header("host", "docker");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(body).map_err(|error| Error::broken(doing, error))?;
        raw::send(self.socket(), doing, request).await
    }
}

/// Accepts what `DOCKER_HOST` may hold for a local Engine.
fn socket_path(address: &str) -> Result<PathBuf, Error> {
    let path = address.strip_prefix("unix://").unwrap_or(address);
    if path.starts_with('/') { Ok(path.into()) } else { Err(Error::Address(address.to_owned())) }
}

/// What `/_ping` tells in its headers.
struct Ping {
    api_version: String,
    builder_version: Option<String>,
    server: String,
}

impl Ping {
    async fn ask(socket: &Path) -> Result<Ping, Error> {
        let doing = "ask the Docker Engine for a sign of life";
        let request = Request::builder()
            .uri("/_ping")
            .header("host", "docker")
            .body(raw::empty_body())
            .map_err(|error| Error::broken(doing, error))?;
        let exchange = async {
            let mut call = raw::send(socket, doing, request).await?;
            call.refuse_failure(doing).await?;
            Ok(call)
        };
        let call = tokio::time::timeout(PING_TIMEOUT, exchange)
            .await
            .map_err(|_| Error::TimedOut { doing: doing.to_owned(), after: PING_TIMEOUT })??;
        Ok(Ping {
            api_version: call.header("api-version").unwrap_or_default(),
            builder_version: call.header("builder-version"),
            server: call.header("server").unwrap_or_default(),
        })
    }

    fn minor_version(&self, socket: &Path) -> Result<usize, Error> {
        let minor = self.api_version.strip_prefix("1.").and_then(|minor| minor.parse().ok());
        match minor {
            Some(minor) if minor >= OLDEST_MINOR => Ok(minor),
            _ => Err(Error::TooOld { socket: socket.to_path_buf(), found: shown_version(&self.api_version) }),
        }
    }

    /// Engine 23 and newer say `Builder-Version: 2`. Engine 20.10 says nothing unless its daemon.json decides, and
    /// builds with BuildKit all the same (measured on 20.10.24). Podman's service never does.
    fn has_buildkit(&self) -> bool {
        match self.builder_version.as_deref() {
            Some(version) => version == "2",
            None => self.server.starts_with("Docker/") && self.server.contains("(linux)"),
        }
    }
}

fn shown_version(text: &str) -> String {
    if text.is_empty() { "of unknown version".to_owned() } else { text.chars().take(20).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_paths_and_unix_addresses_only() {
        assert_eq!(socket_path("unix:///run/x.sock").unwrap(), Path::new("/run/x.sock"));
        assert_eq!(socket_path("/run/x.sock").unwrap(), Path::new("/run/x.sock"));
        for bad in ["tcp://10.0.0.1:2375", "ssh://host", "x.sock", ""] {
            assert!(matches!(socket_path(bad), Err(Error::Address(_))), "{bad}");
        }
    }

    #[test]
    fn buildkit_is_known_from_the_ping() {
        let check = |builder: Option<&str>, server: &str| {
            Ping {
                api_version: "1.41".to_owned(),
                builder_version: builder.map(str::to_owned),
                server: server.to_owned(),
            }
            .has_buildkit()
        };
        assert!(check(Some("2"), "Docker/28.2.2 (linux)"));
        assert!(check(None, "Docker/20.10.24+dfsg1 (linux)"));
        assert!(!check(Some("1"), "Docker/20.10.24+dfsg1 (linux)"));
        assert!(!check(None, "Libpod/4.3.1 (linux)"));
    }

    #[test]
    fn older_engines_are_refused_by_version() {
        let ping = |version: &str| Ping {
            api_version: version.to_owned(),
            builder_version: None,
            server: String::new(),
        };
        let socket = Path::new("/s");
        assert_eq!(ping("1.41").minor_version(socket).unwrap(), 41);
        assert!(matches!(ping("1.40").minor_version(socket), Err(Error::TooOld { .. })));
        assert!(matches!(ping("").minor_version(socket), Err(Error::TooOld { .. })));
    }
}
