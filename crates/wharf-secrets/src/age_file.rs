//! Encrypts and decrypts age files. What is written is armoured text; both forms are read.

use std::io::{Read as _, Write as _};

use age::armor::{ArmoredReader, ArmoredWriter, Format};
use age::{DecryptError, EncryptError, Encryptor};
use zeroize::Zeroize as _;

use crate::identity::Identities;
use crate::recipients::Recipients;
use crate::{Error, Secret};

/// LIMIT: bytes of a file: the text's limit, its keys and the armour around both.
const FILE_BYTES_MAX: usize = 4 << 20;
/// LIMIT: bytes of what is inside.
const PLAIN_BYTES_MAX: usize = 2 << 20;

/// Encrypts for every recipient. The result is armoured text that ends with a newline.
///
/// Errors: `NoRecipients`, `TooLarge`.
pub fn seal(plain: &[u8], recipients: &Recipients) -> Result<String, Error> {
    if recipients.iter().next().is_none() {
        return Err(Error::NoRecipients);
    }
    seal_for(plain, recipients.iter().map(|one| one.as_age()))
}

pub(crate) fn seal_for<'a>(
    plain: &[u8],
    recipients: impl Iterator<Item = &'a dyn age::Recipient>,
) -> Result<String, Error> {
    if plain.len() > PLAIN_BYTES_MAX {
        return Err(Error::TooLarge { what: "what is to be encrypted".to_owned(), max: PLAIN_BYTES_MAX });
    }
    let encryptor = Encryptor::with_recipients(recipients).map_err(|error| match error {
        EncryptError::MissingRecipients => Error::NoRecipients,
        other => Error::Damaged(other.to_string()),
    })?;
    let write = || -> std::io::Result<Vec<u8>> {
        let armour = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
        let mut writer = encryptor.wrap_output(armour)?;
        writer.write_all(plain)?;
        writer.finish()?.finish()
    };
    let bytes = write().expect("writing to memory does not fail");
    Ok(String::from_utf8(bytes).expect("armour is ASCII"))
}

/// An age file as armoured text; one that is armoured already stays as it is.
///
/// Errors: `TooLarge`, `Damaged` for armour that is no text.
pub fn armour(file: &[u8]) -> Result<String, Error> {
    if file.len() > FILE_BYTES_MAX {
        return Err(Error::TooLarge { what: "the age file".to_owned(), max: FILE_BYTES_MAX });
    }
    let text = if file.trim_ascii_start().starts_with(b"-----BEGIN") {
        file.to_vec()
    } else {
        let write = || -> std::io::Result<Vec<u8>> {
            let mut writer = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor)?;
            writer.write_all(file)?;
            writer.finish()
        };
        write().expect("writing to memory does not fail")
    };
    String::from_utf8(text).map_err(|_| Error::Damaged("its armour is no text".to_owned()))
}

/// Decrypts with whichever identity fits.
///
/// Errors: `Damaged` when it is no age file or was changed, `NoKey` when no identity is among its recipients,
/// `Passphrase`, `TooLarge`.
pub fn open(file: &[u8], identities: &Identities) -> Result<Secret, Error> {
    open_with(file, identities.iter())
}

pub(crate) fn open_with<'a>(
    file: &[u8],
    identities: impl Iterator<Item = &'a dyn age::Identity>,
) -> Result<Secret, Error> {
    if file.len() > FILE_BYTES_MAX {
        return Err(Error::TooLarge { what: "the age file".to_owned(), max: FILE_BYTES_MAX });
    }
    let decryptor = age::Decryptor::new_buffered(ArmoredReader::new(file)).map_err(of_decrypt)?;
    let reader = decryptor.decrypt(identities).map_err(of_decrypt)?;
    // All at once: bytes that a growing vector leaves behind would not be wiped.
    let mut plain = Vec::with_capacity(file.len());
    let read = reader.take(PLAIN_BYTES_MAX as u64 + 1).read_to_end(&mut plain);
    match read {
        Ok(size) if size > PLAIN_BYTES_MAX => {
            plain.zeroize();
            Err(Error::TooLarge { what: "what is in the age file".to_owned(), max: PLAIN_BYTES_MAX })
        }
        Ok(_) => Ok(Secret::new(plain)),
        Err(error) => {
            plain.zeroize();
            Err(Error::Damaged(error.to_string()))
        }
    }
}

fn of_decrypt(error: DecryptError) -> Error {
    match error {
        DecryptError::NoMatchingKeys => Error::NoKey,
        DecryptError::KeyDecryptionFailed => Error::Passphrase,
        DecryptError::ExcessiveWork { .. } => Error::NoKey,
        other => Error::Damaged(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(count: usize) -> (Vec<age::x25519::Identity>, Recipients) {
        let all: Vec<age::x25519::Identity> = (0..count).map(|_| age::x25519::Identity::generate()).collect();
        let text: String = all.iter().map(|one| format!("{}\n", one.to_public())).collect();
        (all, Recipients::parse(&text).unwrap())
    }

    fn with(key: &age::x25519::Identity) -> impl Iterator<Item = &dyn age::Identity> {
        std::iter::once(key as &dyn age::Identity)
    }

    #[test]
    fn every_recipient_opens_it_and_nobody_else() {
        let (all, recipients) = keys(3);
        let file = seal(b"DB=hunter2", &recipients).unwrap();
        assert!(file.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n") && file.ends_with("-----\n"));
        for key in &all {
            assert_eq!(open_with(file.as_bytes(), with(key)).unwrap(), Secret::from("DB=hunter2"));
        }
        let stranger = age::x25519::Identity::generate();
        assert!(matches!(open_with(file.as_bytes(), with(&stranger)), Err(Error::NoKey)));
        assert!(matches!(seal(b"", &Recipients::default()), Err(Error::NoRecipients)));
    }

    #[test]
    fn what_is_no_age_file_is_damaged() {
        let (all, _) = keys(1);
        for bytes in [&b""[..], b"hello", b"-----BEGIN AGE ENCRYPTED FILE-----\nAAAA\n", &[0xff; 40]] {
            let error = open_with(bytes, with(&all[0])).unwrap_err();
            assert!(matches!(error, Error::Damaged(_)), "{error}");
        }
        let large = vec![b'a'; FILE_BYTES_MAX + 1];
        assert!(matches!(open_with(&large, with(&all[0])), Err(Error::TooLarge { .. })));
    }

    proptest! {
        // Each case makes keys and encrypts: a few of them say enough.
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn what_was_sealed_opens_and_a_changed_byte_is_noticed(
            plain in proptest::collection::vec(any::<u8>(), 0..300),
            place in any::<proptest::sample::Index>(),
        ) {
            let (all, recipients) = keys(2);
            let file = seal(&plain, &recipients).unwrap();
            let opened = open_with(file.as_bytes(), with(&all[1])).unwrap();
            prop_assert_eq!(opened.expose(), plain.as_slice());
            let mut changed = file.clone().into_bytes();
            let index = place.index(changed.len());
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            let again = open_with(&changed, with(&all[1]));
            // A change in the other recipient's stanza is caught by the header's MAC.
            prop_assert!(again.is_err(), "byte {} of {}", index, changed.len());
        }
    }
}
