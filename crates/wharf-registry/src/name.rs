//! Names of repositories and tags (distribution-spec, "Pulling manifests").

use std::fmt;

use wharf_base::Digest;

/// LIMIT: the spec asks for at most 255 characters together with the host's name.
const NAME_MAX: usize = 255;

/// The name of a repository: `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` joined by `/`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct RepositoryName(String);

impl RepositoryName {
    pub(crate) fn parse(text: &str) -> Option<RepositoryName> {
        let is_good = text.len() <= NAME_MAX && text.split('/').all(is_component);
        is_good.then(|| RepositoryName(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Words of `a-z0-9`, between them `.`, `_`, `__` or any number of `-`.
fn is_component(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut rest = text.as_bytes();
    loop {
        let word = rest.iter().take_while(|byte| is_word(**byte)).count();
        if word == 0 {
            return false;
        }
        rest = &rest[word..];
        if rest.is_empty() {
            return true;
        }
        let separator = rest.iter().take_while(|byte| !is_word(**byte)).count();
        match &rest[..separator] {
            b"." | b"_" | b"__" => {}
            dashes if dashes.iter().all(|byte| *byte == b'-') => {}
            _ => return false,
        }
        rest = &rest[separator..];
    }
}

/// Whether a text is a tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
pub(crate) fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let bytes = text.as_bytes();
    bytes.len() <= 128
        && bytes.first().is_some_and(|first| is_word(*first))
        && bytes.iter().all(|byte| is_word(*byte) || matches!(byte, b'.' | b'-'))
}

/// What a manifest is asked for by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    Tag(String),
    Digest(Digest),
}

impl Reference {
    /// Errors: why it is neither.
    pub(crate) fn parse(text: &str) -> Result<Reference, String> {
        if text.contains(':') {
            return text
                .parse()
                .map(Reference::Digest)
                .map_err(|error: wharf_base::DigestError| error.to_string());
        }
        if is_tag(text) {
            return Ok(Reference::Tag(text.to_owned()));
        }
        let shown: String = text.chars().take(80).collect();
        Err(format!("`{shown}` is neither a tag ([a-zA-Z0-9_][a-zA-Z0-9._-]{{0,127}}) nor a digest"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repository_names() {
        for good in
            ["a", "a/b", "a.b", "a_b", "a__b", "a-b", "a----b", "library/debian", "0/1/2", "blobs/uploads"]
        {
            assert!(RepositoryName::parse(good).is_some(), "{good}");
        }
        let long = "a".repeat(256);
        for bad in
            ["", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "a._b", "-a", "a-", "a/../b", "ä", &long]
        {
            assert!(RepositoryName::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn references() {
        let digest = format!("sha256:{}", "0".repeat(64));
        assert_eq!(Reference::parse(&digest), Ok(Reference::Digest(digest.parse().unwrap())));
        for tag in ["latest", "v1.0-RC_2", "_x", &"a".repeat(128)] {
            assert_eq!(Reference::parse(tag), Ok(Reference::Tag(tag.to_owned())));
        }
        for bad in ["", ".x", "-x", "a/b", "a b", "sha256:00", &"a".repeat(129)] {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
    }
}
