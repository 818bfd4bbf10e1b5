//! Join tokens: `wharf-<sha256 of the CA, 64 hex digits>-<id>-<secret>`.
//!
//! The digest pins the server's CA, so that the joining host needs no other trust. The id finds the token in the
//! database, where only a hash of the secret is stored.

use std::fmt;
use std::str::FromStr;

use rand::TryRngCore as _;
use sha2::{Digest as _, Sha256};
use wharf_base::{Digest, hex};

const ID_BYTES: usize = 6;
/// 160 bits: beyond guessing, even offline from the stored hash.
const SECRET_BYTES: usize = 20;

/// A token that lets a host join.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// SHA-256 of the CA's certificate (DER).
    pub authority: Digest,
    /// Finds it in the database.
    pub id: String,
    secret: String,
}

/// A text is no join token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is not a join token; it looks like wharf-<64 hex digits>-<12 hex digits>-<40 hex digits>\n  hint: `wharf host token` on the server makes one"
)]
pub struct JoinTokenError;

impl JoinToken {
    /// A new random token for the CA with this digest.
    pub fn new(authority: Digest) -> JoinToken {
        JoinToken { authority, id: random_hex(ID_BYTES), secret: random_hex(SECRET_BYTES) }
    }

    /// What is stored of the secret.
    pub fn secret_hash(&self) -> String {
        secret_hash(&self.secret)
    }
}

/// SHA-256 of a random secret, in hex. Random secrets need no slow hash: they can't be guessed.
pub(crate) fn secret_hash(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// `count` random bytes of the system's generator, in hex.
pub(crate) fn random_hex(count: usize) -> String {
    let mut bytes = vec![0; count];
    rand::rngs::OsRng.try_fill_bytes(&mut bytes).expect("getrandom(2) works since Linux 3.17");
    hex(&bytes)
}

/// Whether both are equal, in a time that does not tell where they differ.
pub(crate) fn equal_in_constant_time(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

impl fmt::Display for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "wharf-{}-{}-{}", self.authority.hex(), self.id, self.secret)
    }
}

impl fmt::Debug for JoinToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinToken({})", self.id)
    }
}

impl FromStr for JoinToken {
    type Err = JoinTokenError;

    fn from_str(text: &str) -> Result<JoinToken, JoinTokenError> {
        let mut parts = text.trim().split('-');
        let mut next = || parts.next().ok_or(JoinTokenError);
        let (word, authority, id, secret) = (next()?, next()?, next()?, next()?);
        let is_hex = |text: &str, bytes: usize| {
            text.len() == bytes * 2 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if word != "wharf" || parts.next().is_some() || !is_hex(id, ID_BYTES) || !is_hex(secret, SECRET_BYTES)
        {
            return Err(JoinTokenError);
        }
        let authority = format!("sha256:{authority}").parse().map_err(|_| JoinTokenError)?;
        Ok(JoinToken { authority, id: id.to_owned(), secret: secret.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn printing_and_parsing_are_inverse_and_tokens_differ() {
        let authority = Digest::from_sha256([7; 32]);
        let token = JoinToken::new(authority.clone());
        assert_eq!(token.to_string().parse::<JoinToken>().unwrap(), token);
        assert_ne!(JoinToken::new(authority), token);
        assert!(!format!("{token:?}").contains(&token.secret), "the secret stays out of logs");
    }

    #[test]
    fn a_text_with_one_part_too_few_many_or_wrong_is_refused() {
        let token = JoinToken::new(Digest::from_sha256([7; 32])).to_string();
        for bad in [
            "",
            "wharf",
            &token[1..],
            &token[..token.len() - 1],
            &format!("{token}-aa"),
            &token.to_uppercase(),
        ] {
            assert!(bad.parse::<JoinToken>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_without_panic(text in "\\PC*") {
            let _ = text.parse::<JoinToken>();
        }
    }
}
