//! Which file answers which path.

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode, header};
use wharf_base::ErrorCode;
use wharf_http::ApiError;

use crate::answer::{self, Keep};
use crate::assets::{find, is_built};

const NOT_BUILT: &str = include_str!("not_built.html");

/// First segments that belong to other parts: where such a part is off, a client gets 404 and not a page.
const NOT_OURS: &[&str] = &["api", "assets", "es", "graphite", "loki", "metrics", "v2"];

/// The console, for every path that no other part takes: the binary sets it as the fallback of `api.listen`.
pub fn routes() -> Router {
    Router::new().fallback(serve)
}

async fn serve(request: Request) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    let path = request.uri().path().trim_start_matches('/');
    let headers = request.headers();
    let takes_gzip = takes_gzip(headers);
    if path != "index.html"
        && let Some(asset) = find(path, takes_gzip)
    {
        let keep = if path.starts_with("assets/") { Keep::Forever } else { Keep::Revalidate };
        return answer::file(asset, keep, headers);
    }
    let first = path.split('/').next().unwrap_or_default();
    if NOT_OURS.contains(&first) {
        let shown: String = path.chars().take(200).collect();
        return ApiError::new(ErrorCode::NotFound, format!("there is nothing at /{shown}")).into_response();
    }
    match find("index.html", takes_gzip) {
        Some(index) => answer::file(index, Keep::Revalidate, headers),
        None => {
            debug_assert!(!is_built(), "index.html is what makes a console");
            answer::page(StatusCode::OK, NOT_BUILT)
        }
    }
}

/// Whether `Accept-Encoding` has gzip with a weight above zero.
fn takes_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let is_zero = matches!(weight.trim().strip_prefix("q="), Some("0" | "0.0" | "0.00" | "0.000"));
            name.trim().eq_ignore_ascii_case("gzip") && !is_zero
        })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn call(line: &str, headers: &[(&str, &str)]) -> (StatusCode, HeaderMap, Vec<u8>) {
        let (method, path) = line.split_once(' ').unwrap();
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = routes().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        (head.status, head.headers, body.collect().await.unwrap().to_bytes().to_vec())
    }

    #[tokio::test]
    async fn every_place_is_the_page_with_its_policy() {
        for path in ["/", "/deploys/7", "/hosts/lab1.example", "/index.html"] {
            let (status, headers, body) = call(&format!("GET {path}"), &[]).await;
            assert_eq!(status, 200, "{path}");
            assert_eq!(headers["content-type"], "text/html; charset=utf-8");
            let policy = headers["content-security-policy"].to_str().unwrap();
            assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
            assert_eq!(headers["x-content-type-options"], "nosniff");
            let text = String::from_utf8(body).unwrap();
            assert!(text.starts_with("<!doctype html>"), "{text}");
            assert_eq!(text.contains("npm"), !is_built(), "without a console the page says how to make it");
        }
    }

    #[test]
    fn a_console_that_was_built_is_in_the_binary() {
        let index = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../console/dist/index.html");
        assert_eq!(is_built(), index.exists());
    }

    #[tokio::test]
    async fn paths_of_other_parts_and_other_methods_get_no_page() {
        for path in ["/api/v1/nothing", "/v2/", "/assets/gone-1234.js", "/metrics"] {
            let (status, headers, _) = call(&format!("GET {path}"), &[("accept", "text/html")]).await;
            assert_eq!(
                (status, headers["content-type"].to_str().unwrap()),
                (StatusCode::NOT_FOUND, "application/json")
            );
        }
        assert_eq!(call("POST /", &[]).await.0, 405);
        assert_eq!(call("GET /../../Cargo.toml", &[]).await.1["content-type"], "text/html; charset=utf-8");
    }

    #[tokio::test]
    async fn a_known_tag_is_answered_304_and_head_has_the_length() {
        if !is_built() {
            assert_ne!(std::env::var("WHARF_REQUIRE").as_deref(), Ok("all"), "console/dist is not built");
            eprintln!("SKIPPED: console/dist is not built");
            return;
        }
        let (_, headers, body) = call("GET /", &[]).await;
        let tag = headers["etag"].to_str().unwrap();
        let (status, _, empty) = call("GET /", &[("if-none-match", tag)]).await;
        assert_eq!((status, empty.len()), (StatusCode::NOT_MODIFIED, 0));
        let (status, headers, _) = call("HEAD /", &[]).await;
        assert_eq!(
            (status, headers["content-length"].to_str().unwrap()),
            (StatusCode::OK, &*body.len().to_string())
        );
        let (_, headers, smaller) = call("GET /", &[("accept-encoding", "br, gzip")]).await;
        assert_eq!(headers["content-encoding"], "gzip");
        assert_ne!(headers["etag"].to_str().unwrap(), tag);
        assert!(smaller.len() < body.len());
        // The page names its script, which may be kept for good.
        let page = String::from_utf8(body).unwrap();
        let script =
            page.split('"').find(|part| part.starts_with("/assets/") && part.ends_with(".js")).unwrap();
        let (_, headers, _) = call(&format!("GET {script}"), &[]).await;
        assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(headers["content-type"], "text/javascript; charset=utf-8");
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (value, expected) in
            [("gzip", true), ("br, GZIP;q=0.5", true), ("gzip;q=0", false), ("identity", false), ("", false)]
        {
            let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, value.parse().unwrap())]);
            assert_eq!(takes_gzip(&headers), expected, "{value}");
        }
    }
}
