//! The hash functions that OCI digests use.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use sha2::{Digest as _, Sha256, Sha512};
use wharf_base::{Digest, hex};

/// A hash function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// What nearly everybody uses.
    #[default]
    Sha256,
    /// The other one of the image-spec.
    Sha512,
}

impl Algorithm {
    /// That of a digest.
    pub fn of(digest: &Digest) -> Algorithm {
        // A `Digest` is one of the two, by its parser.
        if digest.algorithm() == "sha512" { Algorithm::Sha512 } else { Algorithm::Sha256 }
    }

    /// From the word in a digest or in `digest-algorithm=`.
    pub fn parse(word: &str) -> Option<Algorithm> {
        match word {
            "sha256" => Some(Algorithm::Sha256),
            "sha512" => Some(Algorithm::Sha512),
            _ => None,
        }
    }
}

/// The digest of bytes in memory.
pub fn digest_of(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.digest()
}

/// A hash in progress.
#[derive(Clone)]
pub(super) enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Hasher {
    pub(super) fn new(algorithm: Algorithm) -> Hasher {
        match algorithm {
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            Algorithm::Sha512 => Hasher::Sha512(Sha512::new()),
        }
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        match self {
            Hasher::Sha256(_) => Algorithm::Sha256,
            Hasher::Sha512(_) => Algorithm::Sha512,
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// The digest of everything so far.
    pub(super) fn digest(&self) -> Digest {
        match self {
            Hasher::Sha256(hasher) => Digest::from_sha256(hasher.clone().finalize().into()),
            Hasher::Sha512(hasher) => format!("sha512:{}", hex(&hasher.clone().finalize()))
                .parse()
                .expect("128 lower-case hex digits"),
        }
    }

    /// Hashes the first `size` bytes of a file from its start. Errors: also when it is shorter.
    pub(super) fn of_file(algorithm: Algorithm, file: &File, size: u64) -> io::Result<Hasher> {
        let mut hasher = Hasher::new(algorithm);
        // 256 KiB: fits the L2 cache together with what the hash reads.
        let mut buffer = vec![0; 256 << 10];
        let mut offset = 0;
        while offset < size {
            let want = buffer.len().min(usize::try_from(size - offset).unwrap_or(usize::MAX));
            let got = file.read_at(&mut buffer[..want], offset)?;
            if got == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            hasher.update(&buffer[..got]);
            offset += got as u64;
        }
        Ok(hasher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // FIPS 180-2, the empty message and "abc".
        for (algorithm, input, expected) in [
            (
                Algorithm::Sha256,
                "",
                "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            (
                Algorithm::Sha256,
                "abc",
                "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                Algorithm::Sha512,
                "abc",
                "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
            ),
        ] {
            assert_eq!(digest_of(algorithm, input.as_bytes()).as_str(), expected);
            assert_eq!(Algorithm::of(&expected.parse().unwrap()), algorithm);
        }
    }
}
