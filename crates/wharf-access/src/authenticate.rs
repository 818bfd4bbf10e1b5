//! The layer in front of `/api/v1`: who calls, and whether their role allows it.
//!
//! Credentials are a bearer token or the console's session cookie. A browser sends the cookie on its own, so a change
//! with a cookie must also come from our own page (`Sec-Fetch-Site`, or `Origin` against `Host` from browsers without
//! it; OWASP CSRF cheat sheet, "Fetch Metadata"), besides `SameSite=Strict`. A request that shows neither is refused.

use std::net::{IpAddr, Ipv4Addr};

use axum::Router;
use axum::extract::{OriginalUri, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use http::uri::Authority;
use http::{HeaderMap, Method, Uri, header};
use wharf_base::ErrorCode;
use wharf_http::{ApiError, Caller, Peer, Role};

use crate::book::Identity;
use crate::{Error, Handle, role};

/// What the names of session cookies begin with.
const COOKIE: &str = "wharf_session";

/// Puts authentication in front of `api`, whose paths begin with `/api/v1` or are relative to it.
///
/// `POST /session` and `POST /join` pass without credentials: they carry their own. Every other request needs a valid
/// token or session (401), and a role that allows it (403): viewers may only GET, and nothing that has secrets; tokens,
/// join tokens and the removal of hosts are for admins.
/// Handlers find a [`Caller`] among the request's extensions. Put it on last: it protects the routes that are in
/// `api` by then, unknown paths included.
pub fn authenticate(handle: &Handle, api: Router) -> Router {
    // Without a fallback of its own a nested router passes unknown paths to the outer one, around this layer.
    api.fallback(no_such_path).layer(middleware::from_fn_with_state(handle.clone(), check))
}

async fn no_such_path(OriginalUri(uri): OriginalUri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    ApiError::new(ErrorCode::NotFound, format!("the API has no path {path}"))
}

async fn check(State(handle): State<Handle>, mut request: Request, next: Next) -> Response {
    let path = api_path(&request);
    if request.method() == Method::POST && matches!(path.as_str(), "/session" | "/join") {
        return next.run(request).await;
    }
    match identify(&handle, &request, &path) {
        Ok(identity) => {
            request.extensions_mut().insert(Caller { name: identity.name.clone(), role: identity.role });
            request.extensions_mut().insert(identity);
            next.run(request).await
        }
        Err(error) => ApiError::from(error).into_response(),
    }
}

fn identify(handle: &Handle, request: &Request, path: &str) -> Result<Identity, Error> {
    let headers = request.headers();
    let address = address(request);
    let identity = if let Some(token) = bearer(headers) {
        handle.check_token(token, address)?
    } else if let Some(session) = cookie(headers, request.uri()) {
        let changes = !request.method().is_safe() || is_websocket(headers);
        if changes && !is_same_origin(headers, request.uri()) {
            return Err(Error::CrossSite);
        }
        handle.check_session(session, address)?
    } else {
        return Err(Error::Missing);
    };
    let needs = match is_websocket(headers) {
        // A terminal: browsers open one with GET, from any page, and it changes what it likes.
        true => Role::Deployer.max(role_needed(request.method(), path)),
        false => role_needed(request.method(), path),
    };
    if identity.role < needs {
        return Err(Error::RoleTooLow { has: role::word(identity.role), needs: role::word(needs) });
    }
    Ok(identity)
}

/// The least role for a request. New paths are for deployers unless they only read.
fn role_needed(method: &Method, path: &str) -> Role {
    let mut parts = path.trim_start_matches('/').split('/');
    match parts.next().unwrap_or_default() {
        "tokens" | "join-tokens" => Role::Admin,
        // The host's certificate is worthless afterwards: to undo it takes a join token.
        "hosts" if *method == Method::DELETE => Role::Admin,
        // Offline builds live by it.
        "cache" if !method.is_safe() => Role::Admin,
        // A whole generation has the environment of every container, and with it passwords.
        "generations" if parts.next().is_some() => Role::Deployer,
        // Anyone may end their own session.
        "session" => Role::Viewer,
        _ if method.is_safe() => Role::Viewer,
        _ => Role::Deployer,
    }
}

fn is_websocket(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// The path below `/api/v1`, whether or not the router is nested there.
fn api_path(request: &Request) -> String {
    let uri = request.extensions().get::<OriginalUri>().map_or(request.uri(), |original| &original.0);
    let path = uri.path();
    path.strip_prefix("/api/v1").unwrap_or(path).to_owned()
}

/// Address of the caller; one shared bucket where the listener did not tell it.
pub(crate) fn address(request: &Request) -> IpAddr {
    let address = request.extensions().get::<Peer>().and_then(|peer| peer.address);
    address.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip().to_canonical())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Name of the session cookie: `wharf_session_7700`.
///
/// Browsers send cookies to every port of a host (RFC 6265 section 8.5). The port by which the browser reaches us is in
/// the name, so that two servers of one machine don't end each other's sessions.
pub(crate) fn cookie_name(headers: &HeaderMap, uri: &Uri) -> String {
    let authority: Option<Authority> = host(headers, uri).and_then(|host| host.parse().ok());
    match authority.and_then(|authority| authority.port_u16()) {
        Some(port) => format!("{COOKIE}_{port}"),
        None => COOKIE.to_owned(),
    }
}

/// The value of our cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, uri: &Uri) -> Option<&'a str> {
    let name = cookie_name(headers, uri);
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(name.as_str())?.strip_prefix('='))
}

/// Whether a browser says that the request comes from a page of ours.
pub(crate) fn is_same_origin(headers: &HeaderMap, uri: &Uri) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text(header::HeaderName::from_static("sec-fetch-site")) {
        return site == "same-origin";
    }
    let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, rest)| rest);
    matches!((origin, host(headers, uri)), (Some(origin), Some(host)) if origin.eq_ignore_ascii_case(host))
}

/// The host that the request is for, with its port. HTTP/2 has it in the URI's authority.
fn host<'a>(headers: &'a HeaderMap, uri: &'a Uri) -> Option<&'a str> {
    let named = || headers.get(header::HOST).and_then(|value| value.to_str().ok());
    uri.authority().map(Authority::as_str).or_else(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn finds_our_cookie_among_others() {
        for (value, found) in [
            ("wharf_session=ab", Some("ab")),
            ("a=1; wharf_session=ab; b=2", Some("ab")),
            ("wharf_session2=ab", None),
            ("xwharf_session=ab", None),
            ("", None),
        ] {
            let uri = Uri::from_static("/apps");
            assert_eq!(cookie(&headers(&[("cookie", value)]), &uri), found, "{value}");
        }
    }

    #[test]
    fn servers_on_other_ports_of_a_host_have_other_cookies() {
        let both = "wharf_session_7700=ab; wharf_session_7800=cd; wharf_session=ef";
        let of = |host: &str, uri: &'static str| {
            let headers = headers(&[("cookie", both), ("host", host)]);
            cookie(&headers, &Uri::from_static(uri)).map(str::to_owned)
        };
        for (host, uri, found) in [
            ("127.0.0.1:7700", "/apps", Some("ab")),
            ("[::1]:7800", "/apps", Some("cd")),
            ("wharf.example", "/apps", Some("ef")),
            ("127.0.0.1:7701", "/apps", None),
            ("ignored", "https://wharf.example:7800/apps", Some("cd")),
        ] {
            assert_eq!(of(host, uri).as_deref(), found, "{host} {uri}");
        }
    }

    #[test]
    fn only_our_own_page_is_same_origin() {
        let uri = Uri::from_static("/apps/shop/scale");
        for (pairs, expected) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://a:1"), ("host", "a:1")], false),
            (&[("origin", "http://a:1"), ("host", "a:1")], true),
            (&[("origin", "http://evil"), ("host", "a:1")], false),
            (&[("origin", "null"), ("host", "a:1")], false),
            (&[("host", "a:1")], false),
        ] {
            assert_eq!(is_same_origin(&headers(pairs), &uri), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_websocket_is_known_whatever_the_case() {
        assert!(is_websocket(&headers(&[("upgrade", "WebSocket")])));
        assert!(!is_websocket(&headers(&[("upgrade", "h2c")])));
        assert!(!is_websocket(&headers(&[])));
    }

    #[test]
    fn reading_needs_less_than_changing() {
        for (method, path, role) in [
            (Method::GET, "/apps", Role::Viewer),
            (Method::POST, "/apps/shop/scale", Role::Deployer),
            (Method::GET, "/tokens", Role::Admin),
            (Method::DELETE, "/tokens/ab", Role::Admin),
            (Method::POST, "/join-tokens", Role::Admin),
            (Method::POST, "/hosts/green1/drain", Role::Deployer),
            (Method::DELETE, "/hosts/green1", Role::Admin),
            (Method::GET, "/cache/stats", Role::Viewer),
            (Method::POST, "/cache/purge", Role::Admin),
            (Method::GET, "/generations", Role::Viewer),
            (Method::GET, "/generations/7", Role::Deployer),
            (Method::DELETE, "/session", Role::Viewer),
            (Method::PUT, "/anything/new", Role::Deployer),
        ] {
            assert_eq!(role_needed(&method, path), role, "{method} {path}");
        }
    }
}
