//! Whose keys open an age file, as far as its header tells: an ssh key by a tag, an age key only by being one.
//!
//! Format: <https://c2sp.org/age>: after the version line each recipient has a line `-> TYPE ARGUMENTS` and its body; a
//! line that begins with `---` ends the header. Nothing here decrypts, and nothing is believed: whether a key opens the
//! file is known only when it does. LIMIT: 64 KiB of header, 1,000 recipients.

use std::io::Read as _;

use age::armor::ArmoredReader;

use crate::{Error, Recipient};

/// LIMIT: bytes of a header.
const HEADER_BYTES_MAX: u64 = 64 << 10;
/// LIMIT: recipients that are listed.
const STANZAS_MAX: usize = 1_000;

/// One recipient of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stanza {
    /// `X25519`, `ssh-ed25519`, `ssh-rsa`, `scrypt`, or another type.
    pub kind: String,
    /// What an ssh key is known by: four bytes of its digest in base64.
    pub tag: Option<String>,
}

impl Stanza {
    /// Whether the file may be for this key; `None`: an age key, of which the file does not tell whose it is.
    pub fn is_for(&self, recipient: &Recipient) -> Option<bool> {
        match recipient.tag() {
            Some(tag) => Some(self.tag.as_deref() == Some(&tag)),
            None if self.kind == "X25519" => None,
            None => Some(false),
        }
    }
}

/// The recipients of an age file, armoured or not.
///
/// Errors: `Damaged`.
pub fn stanzas(file: &[u8]) -> Result<Vec<Stanza>, Error> {
    let damaged = |reason: &str| Error::Damaged(reason.to_owned());
    let mut header = Vec::new();
    let mut reader = ArmoredReader::new(file).take(HEADER_BYTES_MAX);
    reader.read_to_end(&mut header).map_err(|error| Error::Damaged(error.to_string()))?;
    let mut lines = header.split(|byte| *byte == b'\n');
    if lines.next() != Some(b"age-encryption.org/v1".as_slice()) {
        return Err(damaged("it does not begin as one"));
    }
    let mut all = Vec::new();
    for line in lines {
        if line.starts_with(b"---") {
            return Ok(all);
        }
        let Some(line) = line.strip_prefix(b"-> ") else { continue };
        let line = std::str::from_utf8(line).map_err(|_| damaged("a recipient's line is no text"))?;
        let mut words = line.split(' ');
        let kind = words.next().unwrap_or_default().to_owned();
        // Stanzas that mean nothing: writers add them so that readers stay tolerant.
        if kind.is_empty() || kind.ends_with("-grease") {
            continue;
        }
        if all.len() == STANZAS_MAX {
            return Err(damaged("it has too many recipients"));
        }
        let tag = words.next().filter(|_| kind.starts_with("ssh-")).map(str::to_owned);
        all.push(Stanza { kind, tag });
    }
    Err(damaged("its header does not end"))
}

/// The recipients for people: `2 age keys and 1 ssh-ed25519 key`.
pub fn words(file: &[u8]) -> String {
    let Ok(all) = stanzas(file) else { return "no key that could be told".to_owned() };
    let mut counts: Vec<(String, usize)> = Vec::new();
    for stanza in all {
        let name = match stanza.kind.as_str() {
            "X25519" => "age key".to_owned(),
            "scrypt" => "passphrase".to_owned(),
            other => {
                format!("{} key", other.chars().filter(|c| c.is_ascii_graphic()).take(40).collect::<String>())
            }
        };
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    let parts: Vec<String> = counts
        .iter()
        .map(|(name, count)| format!("{count} {name}{}", if *count == 1 { "" } else { "s" }))
        .collect();
    if parts.is_empty() { "no key".to_owned() } else { parts.join(" and ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Recipients, seal};

    const ANN: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHsKLqeplhpW+uObz5dvMgjz1OxfM/XXUB+VHtZ6isGN ann@laptop";
    const BOB: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGTVa01ukvHf+Da4Af6BsAnrBwkKvnxFbrdH/ywI2un6 bob";
    const SERVER: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";

    #[test]
    fn a_file_tells_whose_ssh_keys_open_it() {
        let file = seal(b"x", &Recipients::parse(&format!("{ANN}\n{SERVER}\n")).unwrap()).unwrap();
        let all = stanzas(file.as_bytes()).unwrap();
        let is_for = |text: &str| -> Vec<Option<bool>> {
            let recipient = Recipient::parse(text).unwrap();
            all.iter().map(|stanza| stanza.is_for(&recipient)).collect()
        };
        assert_eq!(is_for(ANN), [Some(true), Some(false)]);
        assert_eq!(is_for(BOB), [Some(false), Some(false)]);
        assert_eq!(is_for(SERVER), [Some(false), None]);
        assert_eq!(words(file.as_bytes()), "1 ssh-ed25519 key and 1 age key");
    }

    #[test]
    fn what_is_no_age_file_is_damaged() {
        for bytes in [&b""[..], b"hello", b"age-encryption.org/v1\n-> X25519 abc\n", &[0xff; 40]] {
            assert!(matches!(stanzas(bytes), Err(Error::Damaged(_))), "{bytes:?}");
        }
        assert_eq!(words(b"hello"), "no key that could be told");
    }
}
