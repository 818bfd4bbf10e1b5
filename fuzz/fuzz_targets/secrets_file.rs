//! What people keep in a repository: the age file's header and armour, the public keys, and the text inside.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_secrets::{Document, Identities, Recipients, header, open};

fuzz_target!(|bytes: &[u8]| {
    let _ = header::stanzas(bytes);
    let _ = header::words(bytes);
    let _ = open(bytes, &Identities::default());
    let _ = wharf_secrets::armour(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(document) = Document::parse(text) {
        let again = Document::parse(document.text()).expect("what was read is read again");
        assert!(document.iter().eq(again.iter()));
    }
    if let Ok(recipients) = Recipients::parse(text) {
        let again = Recipients::parse(recipients.text()).expect("what was read is read again");
        assert!(recipients.iter().map(|one| one.key()).eq(again.iter().map(|one| one.key())));
    }
});
