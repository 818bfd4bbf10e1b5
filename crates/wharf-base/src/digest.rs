//! Content digests as OCI writes them: `sha256:<64 hex digits>` (image-spec, `descriptor.md#digests`).

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A digest of content: `sha256:…` or `sha512:…` with lower-case hex of the right length.
///
/// The text is checked once, when it is parsed; a `Digest` is therefore always safe as part of a file name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// A text is no digest that we know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// The algorithm before the colon is not `sha256` or `sha512`, or there is no colon.
    #[error("digest algorithm of `{0}` is not sha256 or sha512")]
    Algorithm(String),
    /// The part after the colon has the wrong length or other characters than `0-9a-f`.
    #[error("`{0}` is not a digest: hex digits are wrong in number or kind")]
    Hex(String),
}

impl Digest {
    /// Makes the digest of 32 bytes that SHA-256 gave.
    pub fn from_sha256(bytes: [u8; 32]) -> Digest {
        Digest(format!("sha256:{}", hex(&bytes)))
    }

    /// The word before the colon.
    pub fn algorithm(&self) -> &str {
        self.0.split_once(':').expect("checked when parsed").0
    }

    /// The hex digits after the colon, lower case.
    pub fn hex(&self) -> &str {
        self.0.split_once(':').expect("checked when parsed").1
    }

    /// The whole text, `sha256:…`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve hex digits, as Docker shows ids to people.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

/// Lower-case hex of `bytes`.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(DIGITS[usize::from(byte >> 4)] as char);
        text.push(DIGITS[usize::from(byte & 15)] as char);
    }
    text
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Digest, DigestError> {
        // An error shows at most 80 characters of what a stranger sent.
        let shown = || text.chars().take(80).collect::<String>();
        let Some((algorithm, digits)) = text.split_once(':') else {
            return Err(DigestError::Algorithm(shown()));
        };
        let length = match algorithm {
            "sha256" => 64,
            "sha512" => 128,
            _ => return Err(DigestError::Algorithm(shown())),
        };
        let is_hex = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if digits.len() != length || !is_hex {
            return Err(DigestError::Hex(shown()));
        }
        Ok(Digest(text.to_owned()))
    }
}

impl TryFrom<String> for Digest {
    type Error = DigestError;

    fn try_from(text: String) -> Result<Digest, DigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_oci_allows_and_refuses_the_rest() {
        let good = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(good.parse::<Digest>().unwrap().to_string(), good);
        for bad in ["", "sha256", "sha256:", "sha256:zz", "md5:00", "sha256:baddigeststring"] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
        assert!(format!("sha256:{}", "0A".repeat(32)).parse::<Digest>().is_err(), "upper case is refused");
        assert!(format!("sha256:{}", "../".repeat(21) + "a").parse::<Digest>().is_err());
    }

    #[test]
    fn hex_is_lower_case_and_two_digits_a_byte() {
        assert_eq!(hex(&[0, 15, 255]), "000fff");
    }
}
