//! Where requests go: an address and the bytes of the request.

use std::net::SocketAddr;
use std::time::Duration;

use http::Uri;

use crate::Error;

/// A name server that does not answer must not hang a start.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    /// The whole request; every one is the same.
    pub(super) request: Vec<u8>,
}

impl Target {
    pub(super) async fn resolve(url: &str, host: Option<&str>) -> Result<Target, Error> {
        let malformed = || Error::Url(url.chars().take(200).collect());
        let uri: Uri = url.parse().map_err(|_| malformed())?;
        if uri.scheme_str() != Some("http") {
            return Err(malformed());
        }
        let name = uri.host().filter(|name| !name.is_empty()).ok_or_else(malformed)?;
        let port = uri.port_u16().unwrap_or(80);
        let authority = uri.authority().ok_or_else(malformed)?.as_str();
        let host = host.unwrap_or(authority);
        if host.is_empty() || host.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Error::Url(host.chars().take(200).collect()));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: wharf-bench\r\naccept: */*\r\n\r\n");
        let address = resolve(name.trim_matches(['[', ']']), port).await?;
        Ok(Target { address, request: request.into_bytes() })
    }
}

async fn resolve(name: &str, port: u16) -> Result<SocketAddr, Error> {
    let failed = |reason: &str| Error::Resolve { host: format!("{name}:{port}"), reason: reason.to_owned() };
    let lookup = tokio::time::timeout(RESOLVE_TIMEOUT, tokio::net::lookup_host((name, port)));
    let mut addresses =
        lookup.await.map_err(|_| failed("no answer"))?.map_err(|error| failed(&error.to_string()))?;
    addresses.next().ok_or_else(|| failed("it has none"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn url_becomes_address_and_request() {
        let target = Target::resolve("http://127.0.0.1:8080/a?b=c", None).await.unwrap();
        assert_eq!(target.address, "127.0.0.1:8080".parse().unwrap());
        let text = String::from_utf8(target.request).unwrap();
        assert!(text.starts_with("GET /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:8080\r\n"), "{text}");
        let target = Target::resolve("http://[::1]:9", Some("shop")).await.unwrap();
        assert!(String::from_utf8(target.request).unwrap().starts_with("GET / HTTP/1.1\r\nhost: shop\r\n"));
    }

    #[tokio::test]
    async fn other_urls_are_refused() {
        for bad in ["", "127.0.0.1:80", "https://127.0.0.1/", "http:///x", "ftp://127.0.0.1/"] {
            assert!(matches!(Target::resolve(bad, None).await, Err(Error::Url(_))), "{bad}");
        }
        assert!(Target::resolve("http://127.0.0.1/", Some("a\r\nb: c")).await.is_err());
    }
}
