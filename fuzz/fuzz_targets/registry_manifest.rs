//! Image manifests.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &[u8])| {
    let (content_type, bytes) = input;
    wharf_registry::fuzz::manifest(content_type, bytes);
});
