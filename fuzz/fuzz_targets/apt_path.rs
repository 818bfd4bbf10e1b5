//! Paths that apt clients ask for.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    wharf_cache::fuzz::apt_path(text);
});
