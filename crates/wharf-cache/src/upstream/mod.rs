//! The client towards upstreams: HTTP/1.1 with kept connections, TLS with the system's roots, redirects, and a time
//! limit for each phase (connect, head, and each wait for more of a body).
//!
//! What must always hold: credentials go to the host that they are for and never along a redirect to another one; a
//! redirect leads neither from https to http nor into this machine or its link; a body is read within limits.

mod connector;
mod retry_after;

use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, HOST, LOCATION};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use wharf_http::Body;

use crate::{Error, Timeouts};
use connector::Connector;
pub(crate) use retry_after::retry_after;

/// LIMIT: redirects that are followed; archives use one or two.
const REDIRECTS_MAX: usize = 5;
/// LIMIT: kept connections per host that nobody uses.
const IDLE_PER_HOST_MAX: usize = 8;

/// An archive or registry somewhere else.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Upstream {
    scheme: Scheme,
    authority: Authority,
}

impl Upstream {
    /// Reads `http://HOST[:PORT]` or `https://HOST[:PORT]`; what follows the host is not looked at.
    ///
    /// Errors: `Config`, with what is wrong.
    pub(crate) fn parse(url: &str) -> Result<Upstream, Error> {
        let wrong = |why: &str| Error::Config {
            message: format!("`{url}` is no upstream: {why}\n  hint: write http://HOST or https://HOST"),
        };
        let uri: Uri = url.parse().map_err(|_| wrong("it cannot be parsed"))?;
        let parts = uri.into_parts();
        let scheme = parts.scheme.filter(|scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS);
        let scheme = scheme.ok_or_else(|| wrong("the scheme is neither http nor https"))?;
        let authority = parts.authority.ok_or_else(|| wrong("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("credentials don't belong into a URL"));
        }
        Ok(Upstream { scheme, authority })
    }

    /// Host and port, for messages and rows.
    pub(crate) fn name(&self) -> &str {
        self.authority.as_str()
    }

    /// Whether requests to `authority` over plain HTTP mean this one. A default port may be left out.
    pub(crate) fn is_http_at(&self, authority: &Authority) -> bool {
        self.scheme == Scheme::HTTP
            && self.authority.host().eq_ignore_ascii_case(authority.host())
            && self.authority.port_u16().unwrap_or(80) == authority.port_u16().unwrap_or(80)
    }

    /// The address of `path_and_query` on it.
    pub(crate) fn uri(&self, path_and_query: &str) -> Result<Uri, Error> {
        let path: PathAndQuery = path_and_query.parse().map_err(|_| Error::Refused {
            upstream: self.name().to_owned(),
            status: StatusCode::BAD_REQUEST,
        })?;
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|_| Error::Refused { upstream: self.name().to_owned(), status: StatusCode::BAD_REQUEST })
    }
}

impl std::fmt::Display for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

/// Asks upstreams. Clones share the connections.
#[derive(Clone)]
pub(crate) struct Client {
    inner: legacy::Client<Connector, Body>,
    timeouts: Timeouts,
}

/// Why an exchange came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// No connection, or it broke.
    #[error("{0}")]
    Broken(String),
    /// One of the time limits.
    #[error("no {what} within {seconds} s")]
    Slow {
        /// What was waited for.
        what: &'static str,
        /// The limit.
        seconds: u64,
    },
    /// A redirect that is not followed.
    #[error("it redirects {0}")]
    Redirect(String),
}

impl Client {
    /// A client that trusts the system's roots (or those in `SSL_CERT_FILE`).
    pub(crate) fn new(timeouts: Timeouts) -> Result<Client, Error> {
        let inner = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
            .build(Connector::new(connector::tls()?, timeouts.connect));
        Ok(Client { inner, timeouts })
    }

    /// The limits of its phases.
    pub(crate) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Sends a request without a body and follows redirects. Any status that isn't one is a result.
    pub(crate) async fn send(
        &self,
        method: Method,
        uri: Uri,
        headers: &HeaderMap,
    ) -> Result<Response<Incoming>, Failure> {
        let (mut uri, mut headers) = (uri, headers.clone());
        headers.remove(HOST);
        let first = uri.authority().cloned();
        for _ in 0..=REDIRECTS_MAX {
            let mut request = Request::builder().method(method.clone()).uri(uri.clone());
            if let Some(all) = request.headers_mut() {
                all.extend(headers.clone());
            }
            let request =
                request.body(wharf_http::empty()).map_err(|error| Failure::Broken(error.to_string()))?;
            let response = self.once(request).await?;
            if !is_redirect(response.status()) {
                return Ok(response);
            }
            let next = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let next = next.ok_or_else(|| Failure::Redirect("to nowhere".to_owned()))?;
            uri = follow(&uri, next)?;
            if uri.authority() != first.as_ref() {
                headers.remove(AUTHORIZATION);
                refuse_inside(&uri).await?;
            }
        }
        Err(Failure::Redirect(format!("more than {REDIRECTS_MAX} times")))
    }

    async fn once(&self, request: Request<Body>) -> Result<Response<Incoming>, Failure> {
        let limit = self.timeouts.head;
        match tokio::time::timeout(limit, self.inner.request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(Failure::Broken(chain(&error))),
            Err(_) => Err(Failure::Slow { what: "answer", seconds: limit.as_secs() }),
        }
    }

    /// Reads a body whole, `limit` bytes at most.
    pub(crate) async fn collect(&self, mut body: Incoming, limit: usize) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        while let Some(data) = next_data(&mut body, self.timeouts.stall).await? {
            if bytes.len() + data.len() > limit {
                return Err(Failure::Broken(format!("the answer has more than {limit} bytes")));
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    }
}

/// The next piece of a body; `None` at its end. Waits `stall` at most.
pub(crate) async fn next_data(body: &mut Incoming, stall: Duration) -> Result<Option<bytes::Bytes>, Failure> {
    loop {
        match tokio::time::timeout(stall, body.frame()).await {
            Err(_) => return Err(Failure::Slow { what: "more bytes", seconds: stall.as_secs() }),
            Ok(None) => return Ok(None),
            Ok(Some(Err(error))) => return Err(Failure::Broken(chain(&error))),
            Ok(Some(Ok(frame))) => {
                // Trailers say nothing to us.
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where a `Location` leads from `from` (RFC 3986 section 5.2, without dot segments).
fn follow(from: &Uri, location: &str) -> Result<Uri, Failure> {
    let wrong = || Failure::Redirect(format!("to `{}`", location.chars().take(80).collect::<String>()));
    let text = if location.starts_with("//") {
        format!("{}:{location}", from.scheme_str().unwrap_or("http"))
    } else if location.starts_with('/') {
        let authority = from.authority().ok_or_else(wrong)?;
        format!("{}://{authority}{location}", from.scheme_str().unwrap_or("http"))
    } else if location.contains("://") {
        location.to_owned()
    } else {
        let authority = from.authority().ok_or_else(wrong)?;
        let (folder, _) = from.path().rsplit_once('/').unwrap_or_default();
        format!("{}://{authority}{folder}/{location}", from.scheme_str().unwrap_or("http"))
    };
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    match (from.scheme_str(), uri.scheme_str()) {
        (Some("https"), Some("http")) => Err(Failure::Redirect("from https to http".to_owned())),
        (_, Some("http" | "https")) if uri.host().is_some() => Ok(uri),
        _ => Err(wrong()),
    }
}

/// An upstream that was configured may be anywhere; where it sends us may not be this machine or its link.
async fn refuse_inside(uri: &Uri) -> Result<(), Failure> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().unwrap_or(80);
    let addresses = tokio::net::lookup_host((host, port))
        .await
        .map_err(|error| Failure::Broken(format!("{host}: {error}")))?;
    for address in addresses {
        let ip = address.ip().to_canonical();
        let is_inside = match ip {
            std::net::IpAddr::V4(ip) => ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
            std::net::IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified(),
        };
        if is_inside {
            return Err(Failure::Redirect(format!("into this machine or its link ({ip})")));
        }
    }
    Ok(())
}

/// An error with its causes: hyper's own text says only which step failed.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

/// Shared by parts that ask.
pub(crate) type SharedUpstream = Arc<Upstream>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_where_they_say_and_never_down() {
        let from: Uri = "https://a.example/x/y?z".parse().unwrap();
        for (location, expected) in [
            ("https://b.example/q", Some("https://b.example/q")),
            ("/q", Some("https://a.example/q")),
            ("q", Some("https://a.example/x/q")),
            ("//b.example/q", Some("https://b.example/q")),
            ("http://a.example/q", None),
            ("ftp://a.example/q", None),
            ("file:///etc/passwd", None),
        ] {
            let found = follow(&from, location).ok().map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), expected, "{location}");
        }
    }

    #[tokio::test]
    async fn a_redirect_into_this_machine_is_refused() {
        for url in ["http://127.0.0.1/x", "http://[::1]/x", "http://169.254.1.1/", "http://localhost:7700/"] {
            assert!(refuse_inside(&url.parse().unwrap()).await.is_err(), "{url}");
        }
    }

    #[test]
    fn upstreams_are_hosts_without_credentials() {
        let upstream = Upstream::parse("http://a.example/debian").unwrap();
        assert_eq!(upstream.to_string(), "http://a.example");
        assert!(upstream.is_http_at(&"A.example:80".parse().unwrap()));
        assert!(!upstream.is_http_at(&"a.example:81".parse().unwrap()));
        assert_eq!(upstream.uri("/x?y").unwrap(), "http://a.example/x?y");
        for url in ["ftp://a.example", "a.example", "http://u:p@a.example", ""] {
            assert!(Upstream::parse(url).unwrap_err().to_string().contains("hint"), "{url}");
        }
    }
}
