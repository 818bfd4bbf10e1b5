//! Compose files: any bytes give a project or errors with places, never a panic.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = wharf_compose::load_bytes(data);
});
