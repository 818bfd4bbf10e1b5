//! Release files and indexes of apt archives, packed or not.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    wharf_cache::fuzz::apt_index(bytes);
});
