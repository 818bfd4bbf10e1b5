//! Server-sent events as a client reads them.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut parser = wharf_http::sse::Parser::default();
    for chunk in data.chunks(7) {
        parser.push(chunk);
    }
});
