//! Secrets that callers present, and the form in which they are kept.
//!
//! A token reads `wharf_<id>_<secret>`: `id` (12 hex digits) finds the record, `secret` (64 hex digits, 256 random
//! bits) proves it. Only the SHA-256 of the secret is stored. A slow password hash would add nothing: 256 random
//! bits can't be guessed, whatever a guess costs. Hashes are compared without an early exit.

use std::fmt;

use rand::TryRngCore;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};
use wharf_base::hex;

use crate::Error;

/// What every token starts with, so that scanners of leaked secrets can find it.
const PREFIX: &str = "wharf_";
const ID_BYTES: usize = 6;
const SECRET_BYTES: usize = 32;

/// SHA-256 of a secret: what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SecretHash(pub(crate) [u8; 32]);

impl SecretHash {
    /// The hash of a secret as it was presented.
    pub(crate) fn of(secret: &str) -> SecretHash {
        SecretHash(Sha256::digest(secret.as_bytes()).into())
    }

    /// Equality in a time that does not depend on where the bytes differ.
    pub(crate) fn matches(&self, other: &SecretHash) -> bool {
        self.0.iter().zip(other.0.iter()).fold(0u8, |difference, (a, b)| difference | (a ^ b)) == 0
    }
}

/// A token as its owner holds it. `Debug` hides the secret; [`Token::reveal`] gives the whole text once.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// Names the record.
    pub(crate) id: String,
    secret: String,
}

impl Token {
    /// A new one from the operating system's random numbers.
    pub(crate) fn random() -> Result<Token, Error> {
        Ok(Token { id: random_hex::<ID_BYTES>()?, secret: random_hex::<SECRET_BYTES>()? })
    }

    /// Reads `wharf_<id>_<secret>`. `None` for every other text.
    pub(crate) fn parse(text: &str) -> Option<Token> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let is_hex = |part: &str, bytes: usize| {
            part.len() == bytes * 2 && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        (is_hex(id, ID_BYTES) && is_hex(secret, SECRET_BYTES))
            .then(|| Token { id: id.to_owned(), secret: secret.to_owned() })
    }

    /// What is stored of it.
    pub(crate) fn hash(&self) -> SecretHash {
        SecretHash::of(&self.secret)
    }

    /// The whole text, for its owner.
    pub(crate) fn reveal(&self) -> String {
        format!("{PREFIX}{}_{}", self.id, self.secret)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({PREFIX}{}_…)", self.id)
    }
}

/// A new session's secret: 64 hex digits.
pub(crate) fn random_session() -> Result<String, Error> {
    random_hex::<SECRET_BYTES>()
}

fn random_hex<const BYTES: usize>() -> Result<String, Error> {
    let mut bytes = [0u8; BYTES];
    OsRng.try_fill_bytes(&mut bytes).map_err(|error| Error::Random(error.to_string()))?;
    Ok(hex(&bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_two_differ() {
        let (one, two) = (Token::random().unwrap(), Token::random().unwrap());
        assert_eq!(Token::parse(&one.reveal()), Some(one.clone()));
        assert_ne!(one.reveal(), two.reveal());
        assert!(one.hash().matches(&Token::parse(&one.reveal()).unwrap().hash()));
        assert!(!one.hash().matches(&two.hash()));
    }

    #[test]
    fn other_texts_are_no_tokens() {
        let good = Token::random().unwrap().reveal();
        for bad in [
            "",
            "wharf_",
            "wharf_0a_0b",
            &good[1..],
            &good[..good.len() - 1],
            &good.to_uppercase(),
            &format!("{good}0"),
            &format!(" {good}"),
        ] {
            assert_eq!(Token::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn debug_output_hides_the_secret() {
        let token = Token::random().unwrap();
        assert!(!format!("{token:?}").contains(&token.secret));
    }
}
