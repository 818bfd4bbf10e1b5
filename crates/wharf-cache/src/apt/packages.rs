//! `Packages`: the .debs of an archive with size and SHA-256 (Debian repository format, "Packages" indices).

use std::io::{self, BufRead, Read as _};

use wharf_base::Digest;

/// LIMIT: bytes of one line; `Depends` of some packages has a few thousand.
const LINE_MAX: u64 = 1 << 20;
/// LIMIT: bytes of an index when it is unpacked; Debian's main archive has 50 MB. A small file can claim any size.
const INDEX_MAX: u64 = 1 << 30;

/// What an index says of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Promise {
    /// Path relative to the archive's root.
    pub(crate) path: String,
    pub(crate) digest: Digest,
    pub(crate) size: u64,
}

/// How an index is packed, by the end of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Packing {
    Plain,
    Gzip,
    Xz,
}

impl Packing {
    /// That of an index of .debs. `None`: no such index, or a packing that we don't read.
    pub(crate) fn of(name: &str) -> Option<Packing> {
        match name.rsplit('/').next()? {
            "Packages" => Some(Packing::Plain),
            "Packages.gz" => Some(Packing::Gzip),
            "Packages.xz" => Some(Packing::Xz),
            _ => None,
        }
    }
}

/// Reads a packed index and hands over what it says of each file.
///
/// Errors: what is no such packing, a line or a whole beyond the limits, an error of `each`.
pub(crate) fn read(
    packing: Packing,
    input: impl BufRead,
    each: impl FnMut(Promise) -> io::Result<()>,
) -> io::Result<()> {
    match packing {
        Packing::Plain => parse(input, each),
        Packing::Gzip => parse(io::BufReader::new(flate2::bufread::MultiGzDecoder::new(input)), each),
        Packing::Xz => {
            // 128 MiB: the dictionary of `xz -9` has 64.
            let stream =
                liblzma::stream::Stream::new_stream_decoder(128 << 20, liblzma::stream::CONCATENATED)?;
            parse(io::BufReader::new(liblzma::bufread::XzDecoder::new_stream(input, stream)), each)
        }
    }
}

fn parse(input: impl BufRead, mut each: impl FnMut(Promise) -> io::Result<()>) -> io::Result<()> {
    let mut input = input.take(INDEX_MAX);
    let mut line = Vec::new();
    let (mut path, mut digest, mut size) = (None, None, None);
    loop {
        line.clear();
        let count = (&mut input).take(LINE_MAX).read_until(b'\n', &mut line)? as u64;
        if count == LINE_MAX || (count == 0 && input.limit() == 0) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the index is beyond the limits"));
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        if text.is_empty() {
            if let (Some(path), Some(digest), Some(size)) = (path.take(), digest.take(), size.take()) {
                each(Promise { path, digest, size })?;
            }
            (path, digest, size) = (None, None, None);
            if count == 0 {
                return Ok(());
            }
            continue;
        }
        // Almost all lines are none of these: looked at as bytes, and only then as text.
        if let Some(value) = field(text, b"Filename:") {
            path = normal_path(value);
        } else if let Some(value) = field(text, b"SHA256:") {
            digest = format!("sha256:{value}").parse().ok();
        } else if let Some(value) = field(text, b"Size:") {
            size = value.parse().ok();
        }
    }
}

fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a str> {
    let value = line.strip_prefix(name)?;
    std::str::from_utf8(value).ok().map(str::trim)
}

/// The path without `./` in front; `None` when it leads out.
fn normal_path(path: &str) -> Option<String> {
    let path = path.strip_prefix("./").unwrap_or(path);
    let is_inside = !path.is_empty() && !path.starts_with('/') && !path.split('/').any(|part| part == "..");
    is_inside.then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn all(packing: Packing, bytes: &[u8]) -> io::Result<Vec<Promise>> {
        let mut found = Vec::new();
        read(packing, bytes, |promise| {
            found.push(promise);
            Ok(())
        })?;
        Ok(found)
    }

    fn promise(path: &str, number: u8) -> Promise {
        let digest = wharf_disk::cas::digest_of(wharf_disk::cas::Algorithm::Sha256, &[number]);
        Promise { path: path.to_owned(), digest, size: u64::from(number) }
    }

    fn print(promises: &[Promise]) -> String {
        let stanza = |promise: &Promise| {
            let Promise { path, digest, size } = promise;
            format!(
                "Package: x\nFilename: {path}\nSize: {size}\nSHA256: {}\nDescription: y\n z\n\n",
                digest.hex()
            )
        };
        promises.iter().map(stanza).collect()
    }

    #[test]
    fn an_index_is_read_whatever_its_packing() {
        let promises = [promise("pool/a.deb", 1), promise("pool/b.deb", 2)];
        let text = print(&promises);
        assert_eq!(all(Packing::Plain, text.as_bytes()).unwrap(), promises);
        assert_eq!(
            all(Packing::Plain, text.trim_end().as_bytes()).unwrap(),
            promises,
            "no blank line at the end"
        );
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        assert_eq!(all(Packing::Gzip, &gzip.finish().unwrap()).unwrap(), promises);
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(text.as_bytes()).unwrap();
        let xz = xz.finish().unwrap();
        assert_eq!(all(Packing::Xz, &xz).unwrap(), promises);
        assert!(all(Packing::Xz, &xz[..xz.len() / 2]).is_err(), "half an index is none");
        assert!(all(Packing::Gzip, text.as_bytes()).is_err());
    }

    #[test]
    fn paths_that_lead_out_and_half_stanzas_are_left_out() {
        let mut text = print(&[promise("../x", 1), promise("/x", 2), promise("./ok.deb", 3)]);
        text += "Filename: pool/no-digest.deb\nSize: 4\n\nSHA256: zz\nFilename: pool/bad.deb\nSize: 4\n\n";
        assert_eq!(all(Packing::Plain, text.as_bytes()).unwrap(), [promise("ok.deb", 3)]);
    }

    proptest! {
        #[test]
        fn printed_and_read_again_it_is_the_same(names in prop::collection::vec("[a-z0-9+.-]{1,12}\\.deb", 0..20)) {
            let promises: Vec<Promise> =
                names.iter().enumerate().map(|(index, name)| promise(&format!("pool/{name}"), index as u8)).collect();
            prop_assert_eq!(all(Packing::Plain, print(&promises).as_bytes()).unwrap(), promises);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            for packing in [Packing::Plain, Packing::Gzip, Packing::Xz] {
                let _ = all(packing, &bytes);
            }
        }
    }
}
