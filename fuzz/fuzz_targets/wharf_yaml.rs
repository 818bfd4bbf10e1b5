//! wharf.yaml's reader.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = wharf_compose::document::Document::parse("wharf.yaml", text).map(|document| document.to_json());
});
