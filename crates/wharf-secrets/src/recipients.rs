//! Who can read an age file: public keys, one per line, as in `secrets.recipients`.
//!
//! The form is that of `age -R`: ssh-ed25519 and ssh-rsa public keys as in authorized_keys, age's own `age1…` keys,
//! `#` comments. Comments and order survive changes. LIMIT: 200 recipients, because each makes every file longer.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use sha2::{Digest as _, Sha256};

use crate::Error;

/// LIMIT: recipients of one file.
const RECIPIENTS_MAX: usize = 200;

/// One public key.
#[derive(Clone)]
pub struct Recipient {
    /// Type and key, or the `age1…` text: what makes two the same.
    key: String,
    comment: String,
    kind: Kind,
}

#[derive(Clone)]
enum Kind {
    Age(age::x25519::Recipient),
    Ssh(age::ssh::Recipient),
}

impl Recipient {
    /// Reads one line. Errors: `Recipient` with what is wrong.
    pub fn parse(line: &str) -> Result<Recipient, Error> {
        let line = line.trim();
        let wrong = |reason: &str| Error::Recipient {
            text: line.chars().take(40).collect(),
            reason: reason.to_owned(),
        };
        if line.to_ascii_uppercase().starts_with("AGE-SECRET-KEY-") || line.contains("PRIVATE KEY") {
            // Not a word of it: it is the private half.
            let reason = "it is a private key; give the public one";
            return Err(Error::Recipient { text: "…".to_owned(), reason: reason.to_owned() });
        }
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default();
        if first.starts_with("age1") {
            let recipient = first.parse().map_err(|error: &str| wrong(error))?;
            let comment = words.collect::<Vec<_>>().join(" ").trim_start_matches('#').trim().to_owned();
            return Ok(Recipient { key: first.to_owned(), comment, kind: Kind::Age(recipient) });
        }
        if !matches!(first, "ssh-ed25519" | "ssh-rsa") {
            let is_ssh = first.starts_with("ssh-") || first.starts_with("ecdsa-") || first.starts_with("sk-");
            let reason = if is_ssh { "age can't encrypt for this type of ssh key" } else { "unknown form" };
            return Err(wrong(reason));
        }
        let body = words.next().ok_or_else(|| wrong("the key is missing"))?;
        let key = format!("{first} {body}");
        let recipient = key.parse().map_err(|error| {
            use age::ssh::ParseRecipientKeyError as Parse;
            wrong(match error {
                Parse::RsaModulusTooLarge => "the RSA key is larger than 4096 bits",
                Parse::RsaModulusTooSmall => "the RSA key is smaller than 2048 bits",
                _ => "the key can't be read",
            })
        })?;
        let comment = words.collect::<Vec<_>>().join(" ");
        Ok(Recipient { key, comment, kind: Kind::Ssh(recipient) })
    }

    /// What makes two recipients the same: the key without its comment.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The same key with another comment.
    pub fn with_comment(mut self, comment: &str) -> Recipient {
        self.comment = comment.to_owned();
        self
    }

    /// Whose it is, in the words of whoever added it.
    pub fn comment(&self) -> &str {
        &self.comment
    }

    /// What an age file calls an ssh key: base64 of the first four bytes of its SHA-256; `None` for an age key.
    pub fn tag(&self) -> Option<String> {
        let (_, body) = self.key.strip_prefix("ssh-")?.split_once(' ')?;
        let wire = STANDARD.decode(body).or_else(|_| STANDARD_NO_PAD.decode(body)).ok()?;
        Some(STANDARD_NO_PAD.encode(&Sha256::digest(&wire)[..4]))
    }

    pub(crate) fn as_age(&self) -> &dyn age::Recipient {
        match &self.kind {
            Kind::Age(recipient) => recipient,
            Kind::Ssh(recipient) => recipient,
        }
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.kind, self.comment.as_str()) {
            (_, "") => f.write_str(&self.key),
            // age takes nothing behind its own keys; a comment stands in the line before.
            (Kind::Age(_), comment) => write!(f, "# {comment}\n{}", self.key),
            (Kind::Ssh(_), comment) => write!(f, "{} {comment}", self.key),
        }
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}

/// The recipients of a file, with the text they stand in.
#[derive(Clone, Debug, Default)]
pub struct Recipients {
    text: String,
    all: Vec<Recipient>,
}

impl Recipients {
    /// Reads a text. An `age1…` key takes the comment line right before it as its own.
    pub fn parse(text: &str) -> Result<Recipients, Error> {
        let mut all: Vec<Recipient> = Vec::new();
        let mut comment = "";
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with('#') {
                comment = line.trim_start_matches('#').trim();
                continue;
            }
            let mut recipient = Recipient::parse(line)?;
            if recipient.comment.is_empty() {
                recipient.comment = comment.to_owned();
            }
            comment = "";
            if !all.iter().any(|one| one.key == recipient.key) {
                all.push(recipient);
            }
            if all.len() > RECIPIENTS_MAX {
                let what = format!("a file with {} recipients", all.len());
                return Err(Error::TooLarge { what, max: RECIPIENTS_MAX });
            }
        }
        Ok(Recipients { text: text.to_owned(), all })
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Recipient> {
        self.all.iter()
    }

    /// Whether this key is among them.
    pub fn has(&self, key: &str) -> bool {
        self.all.iter().any(|one| one.key == key)
    }

    /// With one more; unchanged if it is there already.
    pub fn with(&self, recipient: &Recipient) -> Result<Recipients, Error> {
        if self.has(&recipient.key) {
            return Ok(self.clone());
        }
        let mut text = self.text.clone();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&format!("{recipient}\n"));
        Recipients::parse(&text)
    }

    /// Without those whose key or comment is `which`, and how many that were.
    pub fn without(&self, which: &str) -> Result<(Recipients, usize), Error> {
        let which = which.trim();
        let as_key = Recipient::parse(which).map(|recipient| recipient.key).unwrap_or_default();
        let goes = |one: &Recipient| one.key == as_key || one.comment == which;
        let gone: Vec<&Recipient> = self.all.iter().filter(|one| goes(one)).collect();
        let keeps = |line: &&str| {
            let is_key = |one: &&&Recipient| line.trim().starts_with(one.key.as_str());
            let is_comment = |one: &&&Recipient| {
                !one.comment.is_empty() && line.trim().strip_prefix('#').map(str::trim) == Some(&one.comment)
            };
            !gone.iter().any(|one| is_key(&one) || is_comment(&one))
        };
        let text: String = self.text.lines().filter(keeps).flat_map(|line| [line, "\n"]).collect();
        Ok((Recipients::parse(&text)?, gone.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN ann@laptop";
    const SERVER: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";

    #[test]
    fn keys_and_comments_are_read_and_kept() {
        let text = format!("# the team\n\n{ANN}\n# server\n{SERVER}\n");
        let all = Recipients::parse(&text).unwrap();
        let seen: Vec<(&str, &str)> = all.iter().map(|one| (&one.key()[..4], one.comment())).collect();
        assert_eq!(seen, [("ssh-", "ann@laptop"), ("age1", "server")]);
        assert_eq!(all.with(&Recipient::parse(SERVER).unwrap()).unwrap().text(), text, "it is there");
        let (less, count) = all.without("server").unwrap();
        assert_eq!((less.text(), count), (format!("# the team\n\n{ANN}\n").as_str(), 1));
        let (none, count) = less.without(ANN).unwrap();
        assert_eq!((none.iter().count(), count), (0, 1));
        let mut server = Recipient::parse(SERVER).unwrap();
        server.comment = "server".to_owned();
        assert_eq!(less.with(&server).unwrap().text(), text);
    }

    #[test]
    fn what_is_no_recipient_is_told() {
        let check = |line: &str, part: &str| {
            let error = Recipient::parse(line).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        };
        check("age1nonsense", "is no recipient");
        check("ssh-ed25519", "the key is missing");
        check("ssh-ed25519 AAAA", "can't be read");
        check("ecdsa-sha2-nistp256 AAAA x", "this type of ssh key");
        check("hello", "unknown form");
        let private = "AGE-SECRET-KEY-1QQQQ";
        let error = Recipient::parse(private).unwrap_err().to_string();
        assert!(error.contains("private key") && !error.contains("1QQQQ"), "{error}");
    }
}
