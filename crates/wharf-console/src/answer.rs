//! Headers of an answer: what browsers may do with the page, and how long they may keep a file.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, StatusCode, header};

use crate::assets::Asset;

/// What the page may do: run our scripts and styles, talk to this server. Nothing inline, nothing from elsewhere, no
/// frames. Values are set on styles through the CSSOM, which `style-src` does not restrict (CSP 3, section 6.1.14).
pub(crate) const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// How long a client may keep an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// For good: the name changes with the content.
    Forever,
    /// Until asked again with the entity tag.
    Revalidate,
}

/// The answer with a file: 200, or 304 when `request` shows that the client has it.
pub(crate) fn file(asset: Asset, keep: Keep, request: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", &asset.hash[..32]);
    let is_known =
        request.get(header::IF_NONE_MATCH).is_some_and(|value| matches_tag(value.as_bytes(), &tag));
    let mut builder = common().header(header::ETAG, tag).header(header::VARY, "Accept-Encoding").header(
        header::CACHE_CONTROL,
        match keep {
            Keep::Forever => "public, max-age=31536000, immutable",
            Keep::Revalidate => "no-cache",
        },
    );
    if is_known {
        return builder
            .status(StatusCode::NOT_MODIFIED)
            .body(Body::empty())
            .expect("the parts are valid header values");
    }
    builder = builder
        .header(header::CONTENT_TYPE, asset.media_type)
        // Stated here because the answer to HEAD has no body to take it from.
        .header(header::CONTENT_LENGTH, asset.bytes.len());
    if asset.is_gzip {
        builder = builder.header(header::CONTENT_ENCODING, "gzip");
    }
    let body = match asset.bytes {
        std::borrow::Cow::Borrowed(bytes) => Body::from(bytes),
        std::borrow::Cow::Owned(bytes) => Body::from(bytes),
    };
    builder.body(body).expect("the parts are valid header values")
}

/// A page that is not kept.
pub(crate) fn page(status: StatusCode, html: &'static str) -> Response {
    common()
        .status(status)
        .header(header::CONTENT_TYPE, "text/html; charset=utf-8")
        .header(header::CONTENT_LENGTH, html.len())
        .header(header::CACHE_CONTROL, "no-store")
        .body(Body::from(html))
        .expect("the parts are valid header values")
}

fn common() -> http::response::Builder {
    Response::builder()
        .header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY)
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::X_FRAME_OPTIONS, "DENY")
        .header(header::REFERRER_POLICY, "no-referrer")
        .header("cross-origin-opener-policy", "same-origin")
        .header("cross-origin-resource-policy", "same-origin")
}

/// `If-None-Match` (RFC 9110, section 13.1.2): `*`, or a list of tags, compared weakly.
fn matches_tag(value: &[u8], tag: &str) -> bool {
    let Ok(value) = std::str::from_utf8(value) else { return false };
    value.trim() == "*" || value.split(',').any(|item| item.trim().trim_start_matches("W/") == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_tags_as_the_rfc_says() {
        for (value, expected) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("a", false),
            ("\"b\"", false),
            ("", false),
        ] {
            assert_eq!(matches_tag(value.as_bytes(), "\"a\""), expected, "{value}");
        }
    }
}
