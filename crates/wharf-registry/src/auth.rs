//! Who is asking: Basic authentication (RFC 7617) against the port that knows users.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use wharf_model::ports::{RegistryAccess, RegistryUser};

use crate::refusal::{Code, Refusal};

/// Whose request it is, where a login is needed.
///
/// Errors: 401 without valid credentials. That is also the challenge that makes Docker send what it has.
pub(crate) fn check(access: &dyn RegistryAccess, headers: &HeaderMap) -> Result<RegistryUser, Refusal> {
    let credentials = headers.get(AUTHORIZATION).and_then(|value| parse(value.to_str().ok()?));
    let user = credentials.and_then(|(user, password)| access.check(&user, &password));
    user.ok_or_else(Refusal::unauthorized)
}

/// A caller that needs no login: loopback, where whoever can connect can also read the disk's files.
pub(crate) fn local() -> RegistryUser {
    RegistryUser { name: "local".to_owned(), may_push: true }
}

/// Errors: 403 for a user who may only pull.
pub(crate) fn may_push(user: &RegistryUser) -> Result<(), Refusal> {
    if user.may_push {
        return Ok(());
    }
    Err(Refusal::new(Code::Denied, format!("{} may pull, but not push or delete", user.name)))
}

fn parse(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_credentials() {
        // RFC 7617 section 2.
        let known = Some(("Aladdin".to_owned(), "open sesame".to_owned()));
        assert_eq!(parse("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), known);
        assert_eq!(parse("basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), known);
        for bad in ["", "Basic", "Basic !", "Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Basic QWxhZGRpbg=="] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
