//! Pushes an image and learns the digest under which the registry has it.
//!
//! The Engine answers 200 before it has sent anything; failures and the digest come as messages of the stream
//! (moby `api/types/PushResult` in `aux`), which bollard's record has no field for.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use hyper::Method;
use serde::{Deserialize, Serialize};
use wharf_base::Digest;

use crate::build::query::encode;
use crate::error::tidy;
use crate::json_stream::JsonStream;
use crate::{Engine, Error, Output, raw};

/// The Engine reports progress several times a second while bytes flow, and retries a layer five times with waits of
/// 5 to 25 s. Two minutes without a word mean that neither happens.
const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// User and password for a registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// User.
    pub user: String,
    /// Password or token.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Pushes the image that the Engine has as `reference` (`host:port/name:tag`) and returns the digest of the
/// manifest in the registry.
///
/// Errors: `PushFailed` with the registry's words; `Refused` with 404 when the Engine has no such image.
pub async fn push(
    engine: &Engine,
    reference: &str,
    credentials: Option<&Credentials>,
    output: &mut Output,
) -> Result<Digest, Error> {
    let (name, tag) = split_reference(reference)?;
    let doing = format!("push {reference}");
    let path = format!("/images/{name}/push?tag={}", encode(tag));
    let headers = [("x-registry-auth", auth_header(reference, credentials))];
    let mut call = engine.send(&doing, Method::POST, &path, &headers, raw::empty_body()).await?;
    call.refuse_failure(&doing).await?;
    let mut stream = JsonStream::new(call, &doing, Some(IDLE_TIMEOUT));
    let mut digest = None;
    while let Some(message) = stream.next().await? {
        if let Some(failure) = message.failure() {
            return Err(Error::PushFailed { reference: reference.to_owned(), message: tidy(failure) });
        }
        if let Some(aux) = message.aux.and_then(|aux| serde_json::from_value::<PushResult>(aux).ok()) {
            digest = Some(aux.digest);
        }
        if let Some(status) = &message.status
            && let Some(line) = progress_line(message.id.as_deref(), status)
        {
            output.line(&line).await;
        }
    }
    digest.ok_or_else(|| Error::broken(doing, "the stream ended without a digest"))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PushResult {
    digest: Digest,
}

/// Beginnings and ends of each layer; the moving bars between them are left out.
fn progress_line(id: Option<&str>, status: &str) -> Option<String> {
    let is_news = !matches!(status, "Preparing" | "Waiting" | "Pushing" | "Retrying");
    is_news.then(|| match id {
        Some(id) => format!("{id}: {status}"),
        None => status.to_owned(),
    })
}

/// Name and tag; the tag is what follows the last colon after the last slash.
fn split_reference(reference: &str) -> Result<(&str, &str), Error> {
    let malformed = || Error::Malformed(reference.chars().take(200).collect(), "image reference to push");
    let last = reference.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match reference[last..].find(':') {
        Some(colon) => (&reference[..last + colon], &reference[last + colon + 1..]),
        None => (reference, "latest"),
    };
    let is_good = |c: char| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_' | '/' | ':' | '[' | ']')
    };
    let is_tag = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || tag.is_empty() || !name.chars().all(is_good) || !tag.chars().all(is_tag) {
        return Err(malformed());
    }
    Ok((name, tag))
}

fn auth_header(reference: &str, credentials: Option<&Credentials>) -> String {
    #[derive(Serialize)]
    struct Auth<'a> {
        username: &'a str,
        password: &'a str,
        serveraddress: &'a str,
    }
    let json = match credentials {
        Some(Credentials { user, password }) => serde_json::to_vec(&Auth {
            username: user,
            password,
            serveraddress: reference.split('/').next().unwrap_or_default(),
        })
        .expect("strings serialize"),
        // The Engine wants the header even when it has nothing to say.
        None => b"{}".to_vec(),
    };
    URL_SAFE.encode(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_split_at_the_tag() {
        for (reference, expected) in [
            ("127.0.0.1:5000/shop/web:r3", ("127.0.0.1:5000/shop/web", "r3")),
            ("127.0.0.1:5000/shop/web", ("127.0.0.1:5000/shop/web", "latest")),
            ("web:1", ("web", "1")),
        ] {
            assert_eq!(split_reference(reference).unwrap(), expected);
        }
        for bad in ["", "web:", ":1", "We b", "a/b@sha256:00", "a?x=1", "a/b:c/../d?"] {
            assert!(split_reference(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn password_is_not_shown() {
        let credentials = Credentials { user: "ci".to_owned(), password: "hunter2".to_owned() };
        assert!(!format!("{credentials:?}").contains("hunter2"));
        let header = auth_header("10.0.0.1:5000/x:1", Some(&credentials));
        let json = String::from_utf8(URL_SAFE.decode(header).unwrap()).unwrap();
        assert_eq!(json, r#"{"username":"ci","password":"hunter2","serveraddress":"10.0.0.1:5000"}"#);
    }
}
