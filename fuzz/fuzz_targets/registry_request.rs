//! Path, query, Range and Content-Range of a registry request.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str, &str)| {
    let (path, query, range) = input;
    wharf_registry::fuzz::request(path, query, range);
});
