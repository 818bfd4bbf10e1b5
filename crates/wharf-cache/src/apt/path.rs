//! What a path in an archive is.

use wharf_base::Digest;

/// Kinds of files, by the path alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `InRelease`, `Release`, `Release.gpg`: changed in place. `root` is the directory, without a slash at the end.
    Release { root: String, file: &'static str },
    /// Named by its digest. `directory` is the one that has the file's other name.
    ByHash { directory: String, digest: Digest },
    /// Anything else.
    File,
}

/// Says what the decoded path is. Paths that lead out are `None`.
pub(crate) fn kind(path: &str) -> Option<Kind> {
    if !path.starts_with('/') || path.split('/').any(|part| part == ".." || part == ".") {
        return None;
    }
    let (directory, name) = path.rsplit_once('/')?;
    for file in ["InRelease", "Release", "Release.gpg"] {
        if name == file {
            return Some(Kind::Release { root: directory.to_owned(), file });
        }
    }
    for (algorithm, folder) in [("sha256", "/by-hash/SHA256"), ("sha512", "/by-hash/SHA512")] {
        if let Some(above) = directory.strip_suffix(folder)
            && let Ok(digest) = format!("{algorithm}:{name}").parse()
        {
            return Some(Kind::ByHash { directory: above.to_owned(), digest });
        }
    }
    Some(Kind::File)
}

/// The directories above a path, nearest first, without a slash at the end.
pub(crate) fn above(path: &str) -> impl Iterator<Item = &str> {
    path.rmatch_indices('/').map(move |(at, _)| &path[..at])
}

/// The root of the archive whose release file is in `root`: what `Filename` of its indexes is relative to.
pub(crate) fn archive(root: &str) -> &str {
    match root.find("/dists/") {
        Some(at) => &root[..at],
        None => root,
    }
}

/// `%2b` and its like made plain; apt encodes `+` and `~`. `None`: no UTF-8, or a NUL.
pub(crate) fn decode(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = |byte: u8| (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match after {
            [high, low, after @ ..] if first == b'%' => {
                bytes.push(hex(*high)? << 4 | hex(*low)?);
                rest = after;
            }
            _ if first == b'%' => return None,
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let hex = "ab".repeat(32);
        let release = |root: &str, file| Some(Kind::Release { root: root.to_owned(), file });
        for (path, expected) in [
            ("/debian/dists/x/InRelease", release("/debian/dists/x", "InRelease")),
            ("/Release.gpg", release("", "Release.gpg")),
            ("/debian/pool/main/a/a.deb", Some(Kind::File)),
            ("/d/by-hash/MD5Sum/0123", Some(Kind::File)),
            ("/d/by-hash/SHA256/nothex", Some(Kind::File)),
            ("/d/../etc/passwd", None),
            ("d", None),
        ] {
            assert_eq!(kind(path), expected, "{path}");
        }
        let digest: Digest = format!("sha256:{hex}").parse().unwrap();
        let by_hash = Kind::ByHash { directory: "/d/main".to_owned(), digest };
        assert_eq!(kind(&format!("/d/main/by-hash/SHA256/{hex}")), Some(by_hash));
        assert_eq!(above("/a/b/c").collect::<Vec<_>>(), ["/a/b", "/a", ""]);
        assert_eq!((archive("/debian/dists/x"), archive("/flat")), ("/debian", "/flat"));
        assert_eq!(decode("/g%2b%2b~1").as_deref(), Some("/g++~1"));
        assert_eq!(decode("/%2e%2e/x").and_then(|path| kind(&path)), None);
        for path in ["%", "%2", "%zz", "%ff", "%00"] {
            assert_eq!(decode(path), None, "{path}");
        }
    }
}
