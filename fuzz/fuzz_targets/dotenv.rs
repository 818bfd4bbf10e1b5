//! Env files.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = wharf_compose::dotenv::parse(".env", text, &|_| None);
});
