//! What a proxy changes in headers: hop-by-hop out, X-Forwarded-* and X-Request-Id in. Host is kept.
//!
//! Source: RFC 9110 section 7.6.1 (Connection), RFC 9112 section 3.2.2 (absolute form). X-Forwarded-* as nginx and
//! HAProxy users know them: replaced from a peer that is not trusted, appended to from one that is.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Version};

/// Names that belong to one connection besides those that `Connection` lists. `Trailer` is not one of them.
static HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

pub(crate) static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(crate) static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(crate) static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// LIMIT: characters of a request id that is passed on; a longer one is replaced.
const REQUEST_ID_MAX: usize = 128;

/// Removes the headers that belong to one connection. Returns the value of `Upgrade` if the message asks to switch
/// (`Connection` lists it), which the caller may set again.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) -> Option<HeaderValue> {
    let mut upgrade = None;
    // Most requests of HTTP/1.1 clients have no Connection at all.
    if headers.contains_key(header::CONNECTION) {
        let values: Vec<HeaderValue> = headers.get_all(header::CONNECTION).iter().cloned().collect();
        let tokens = values.iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
        for token in tokens.map(<[u8]>::trim_ascii) {
            if token.eq_ignore_ascii_case(b"upgrade") {
                upgrade = headers.get(header::UPGRADE).cloned();
            } else if !token.eq_ignore_ascii_case(b"close")
                && !token.eq_ignore_ascii_case(b"keep-alive")
                && !is_protected(token)
                && let Ok(name) = HeaderName::from_bytes(token)
            {
                headers.remove(name);
            }
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    upgrade
}

/// Headers that a client can't have removed by naming them in `Connection`: the application relies on them, and
/// those of ours are set afterwards in any case.
fn is_protected(token: &[u8]) -> bool {
    [&b"host"[..], b"content-length", b"authorization", b"cookie"]
        .iter()
        .any(|name| token.eq_ignore_ascii_case(name))
}

/// Whether an upgrade may be passed on. `h2c` may not: behind it the backend would speak HTTP/2 unseen by us.
pub(crate) fn may_upgrade(method: &Method, version: Version, upgrade: &HeaderValue) -> bool {
    let is_h2 = upgrade.as_bytes().split(|byte| *byte == b',').any(|name| {
        let name = name.trim_ascii();
        name.len() >= 2 && name[..2].eq_ignore_ascii_case(b"h2")
    });
    version == Version::HTTP_11 && method != Method::CONNECT && !is_h2
}

/// Takes out what only makes sense with an upgrade that is not passed on.
pub(crate) fn strip_upgrade_settings(headers: &mut HeaderMap) {
    headers.remove(&HTTP2_SETTINGS);
}

/// Sets X-Forwarded-For, -Proto and -Host.
pub(crate) fn forward(
    headers: &mut HeaderMap,
    peer: &HeaderValue,
    is_trusted: bool,
    proto: &'static HeaderValue,
    host: &HeaderValue,
) {
    if !is_trusted {
        headers.insert(X_FORWARDED_FOR.clone(), peer.clone());
        headers.insert(X_FORWARDED_PROTO.clone(), proto.clone());
        headers.insert(X_FORWARDED_HOST.clone(), host.clone());
        return;
    }
    let mut chain = Vec::new();
    for value in headers.get_all(&X_FORWARDED_FOR) {
        chain.extend_from_slice(value.as_bytes());
        chain.extend_from_slice(b", ");
    }
    chain.extend_from_slice(peer.as_bytes());
    let chain = HeaderValue::from_maybe_shared(bytes::Bytes::from(chain)).unwrap_or_else(|_| peer.clone());
    headers.insert(X_FORWARDED_FOR.clone(), chain);
    if !headers.contains_key(&X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO.clone(), proto.clone());
    }
    if !headers.contains_key(&X_FORWARDED_HOST) {
        headers.insert(X_FORWARDED_HOST.clone(), host.clone());
    }
}

/// The client's request id if it is fit for logs and headers.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<HeaderValue> {
    let value = headers.get(&X_REQUEST_ID)?;
    let bytes = value.as_bytes();
    let is_good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:+/=@".contains(byte);
    (!bytes.is_empty() && bytes.len() <= REQUEST_ID_MAX && bytes.iter().all(is_good)).then(|| value.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(lines: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    }

    fn text(headers: &HeaderMap) -> Vec<String> {
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    #[test]
    fn hop_by_hop_headers_go_also_those_that_connection_names() {
        let mut headers = map(&[
            ("host", "a"),
            ("connection", "close, X-Secret"),
            ("connection", "Host"),
            ("x-secret", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "x"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("trailer", "x-sum"),
            ("x-kept", "1"),
        ]);
        assert_eq!(strip_hop_by_hop(&mut headers), None);
        assert_eq!(text(&headers), ["host: a", "trailer: x-sum", "x-kept: 1"]);
    }

    #[test]
    fn an_upgrade_counts_only_if_connection_names_it_and_it_is_not_http2() {
        let mut headers = map(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
        let upgrade = strip_hop_by_hop(&mut headers).unwrap();
        assert!(may_upgrade(&Method::GET, Version::HTTP_11, &upgrade));
        assert!(!may_upgrade(&Method::GET, Version::HTTP_10, &upgrade));
        for bad in ["h2c", "websocket, H2C", "h2"] {
            assert!(!may_upgrade(&Method::GET, Version::HTTP_11, &HeaderValue::from_static(bad)));
        }
    }

    #[test]
    fn forwarded_headers_are_replaced_or_appended_to() {
        static HTTP: HeaderValue = HeaderValue::from_static("http");
        let peer = HeaderValue::from_static("10.0.0.2");
        let host = HeaderValue::from_static("shop");
        let lines =
            [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "2.2.2.2"), ("x-forwarded-proto", "https")];
        let mut headers = map(&lines);
        forward(&mut headers, &peer, false, &HTTP, &host);
        assert_eq!(
            text(&headers),
            ["x-forwarded-for: 10.0.0.2", "x-forwarded-host: shop", "x-forwarded-proto: http"]
        );
        let mut headers = map(&lines);
        forward(&mut headers, &peer, true, &HTTP, &host);
        assert_eq!(
            text(&headers),
            [
                "x-forwarded-for: 1.1.1.1, 2.2.2.2, 10.0.0.2",
                "x-forwarded-host: shop",
                "x-forwarded-proto: https"
            ]
        );
    }

    #[test]
    fn request_ids_are_passed_on_if_fit_for_a_log_line() {
        for (id, is_kept) in [("abc-1.2:3", true), ("a b", false), ("a\"b", false), ("", false)] {
            assert_eq!(request_id(&map(&[("x-request-id", id)])).is_some(), is_kept, "{id}");
        }
        assert!(request_id(&map(&[("x-request-id", &"x".repeat(129))])).is_none());
    }
}
