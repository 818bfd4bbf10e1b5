//! Backups: what is read of an archive whose bytes may be anything.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(manifest) = wharf_disk::archive::verify_bytes(bytes) {
        // What it vouches for is in it.
        let size: u64 = manifest.files.iter().map(|file| file.bytes).sum();
        assert!(size <= bytes.len() as u64);
    }
});
