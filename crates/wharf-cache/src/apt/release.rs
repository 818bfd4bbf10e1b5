//! `Release` and `InRelease`: the files of a suite with their SHA-256 (Debian repository format, "Release" files).
//!
//! The signature is not looked at: clients check it, with the keys that they trust. What is taken from here is which bytes
//! belong together.

use std::collections::HashMap;

use wharf_base::Digest;

/// LIMIT: files of a suite that are remembered; Debian's main archive lists some 1,500.
const FILES_MAX: usize = 50_000;

/// A suite as its release file describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Release {
    /// Digest and bytes of each file, by its name relative to the release file.
    pub(crate) files: HashMap<String, (Digest, u64)>,
    /// Whether the files are there under their digests as well.
    pub(crate) by_hash: bool,
}

impl Release {
    /// Reads a release file, clear-signed or not. `None`: it is none, or it names no SHA-256.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Release> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut release = Release::default();
        let mut is_in_list = false;
        for line in text.lines() {
            if line == "-----BEGIN PGP SIGNATURE-----" {
                break;
            }
            if let Some(entry) = line.strip_prefix(' ') {
                if is_in_list && let Some((name, file)) = entry_of(entry) {
                    if release.files.len() >= FILES_MAX {
                        return None;
                    }
                    release.files.insert(name, file);
                }
                continue;
            }
            let Some((field, value)) = line.split_once(':') else { continue };
            is_in_list = field.eq_ignore_ascii_case("SHA256");
            if field.eq_ignore_ascii_case("Acquire-By-Hash") {
                release.by_hash = value.trim().eq_ignore_ascii_case("yes");
            }
        }
        (!release.files.is_empty()).then_some(release)
    }

    /// The name of the file in `directory` that has this digest.
    pub(crate) fn name_of(&self, directory: &str, digest: &Digest) -> Option<&str> {
        let is_there = |name: &str| name.rsplit_once('/').map_or("", |(folder, _)| folder) == directory;
        // The same bytes may have several names, such as empty lists; an index wins.
        let mut names: Vec<&str> = self
            .files
            .iter()
            .filter(|(name, (found, _))| found == digest && is_there(name))
            .map(|(name, _)| name.as_str())
            .collect();
        names.sort_unstable();
        names.first().copied()
    }

    /// Where the file `name` with `digest` is best fetched, relative to the release file.
    pub(crate) fn place(&self, name: &str, digest: &Digest) -> String {
        if !self.by_hash {
            return name.to_owned();
        }
        match name.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/by-hash/SHA256/{}", digest.hex()),
            None => format!("by-hash/SHA256/{}", digest.hex()),
        }
    }
}

/// `<hex> <size> <name>`, with any white space between.
fn entry_of(line: &str) -> Option<(String, (Digest, u64))> {
    let mut words = line.split_ascii_whitespace();
    let (hex, size, name) = (words.next()?, words.next()?, words.next()?);
    let digest = format!("sha256:{hex}").parse().ok()?;
    let is_inside = !name.starts_with('/') && !name.split('/').any(|part| part == "..");
    is_inside.then_some((name.to_owned(), (digest, size.parse().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\nAcquire-By-Hash: yes\nMD5Sum:\n \
         0ed6d4c8891eb86358b94bb35d9e4da4  1484322 main/Contents\nSHA256:\n \
         4cca5d0e0e3b2c8b3f1b1a9b9c1de4bd1a0f8c0f2a2e3e7a5cf1f0e8dce0c2b1    1484 main/binary-amd64/Packages.xz\n \
         4cca5d0e0e3b2c8b3f1b1a9b9c1de4bd1a0f8c0f2a2e3e7a5cf1f0e8dce0c2b2 7 ../../etc/passwd\n bad line\n\
         -----BEGIN PGP SIGNATURE-----\nSHA256:\n \
         4cca5d0e0e3b2c8b3f1b1a9b9c1de4bd1a0f8c0f2a2e3e7a5cf1f0e8dce0c2b3 7 outside\n";

    #[test]
    fn what_is_signed_and_inside_is_read() {
        let release = Release::parse(TEXT.as_bytes()).unwrap();
        assert!(release.by_hash);
        assert_eq!(release.files.len(), 1, "{:?}", release.files);
        let (digest, size) = &release.files["main/binary-amd64/Packages.xz"];
        assert_eq!((digest.algorithm(), *size), ("sha256", 1_484));
        assert_eq!(release.name_of("main/binary-amd64", digest), Some("main/binary-amd64/Packages.xz"));
        assert_eq!(release.name_of("main", digest), None);
        let place = release.place("main/binary-amd64/Packages.xz", digest);
        assert_eq!(place, format!("main/binary-amd64/by-hash/SHA256/{}", digest.hex()));
    }

    #[test]
    fn what_is_no_release_file_is_none() {
        for text in ["", "<html>log in first</html>", "SHA256:\n", "\u{0}\u{1}", "Origin: Debian\n"] {
            assert_eq!(Release::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Release::parse(&[0xff, 0xfe]), None);
    }
}
