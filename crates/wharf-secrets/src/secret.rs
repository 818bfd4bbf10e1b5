//! One secret value.

use std::fmt;

use zeroize::Zeroizing;

/// Characters of a fingerprint.
pub const FINGERPRINT_LENGTH: usize = 32;

/// Bytes that nobody is to see. Wiped when dropped; `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes; no copy stays behind.
    pub fn new(bytes: Vec<u8>) -> Secret {
        Secret(Zeroizing::new(bytes))
    }

    /// The value itself. Look twice at where it goes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The value as text, if it is UTF-8.
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Whether a text has the form of a fingerprint: 32 lower-case hexadecimal digits. It names files, so anything else is
/// refused before it gets near a path.
pub fn is_fingerprint(text: &str) -> bool {
    text.len() == FINGERPRINT_LENGTH && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_print_itself() {
        let secret = Secret::from("hunter2");
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "Secret(…) Some(Secret(…))");
        assert_eq!(secret.expose_text(), Some("hunter2"));
    }

    #[test]
    fn only_hexadecimal_digits_make_a_fingerprint() {
        assert!(is_fingerprint(&"0a".repeat(16)));
        for bad in ["", "../../etc/passwd", &"0A".repeat(16), &"0a".repeat(17)] {
            assert!(!is_fingerprint(bad), "{bad}");
        }
    }
}
