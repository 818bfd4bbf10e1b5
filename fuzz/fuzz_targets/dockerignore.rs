//! .dockerignore, and paths against it.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (rules, path) = input;
    if let Ok(ignore) = wharf_dockerfile::Ignore::parse(rules) {
        let _ = ignore.is_ignored(path);
        let _ = ignore.may_skip_dir(path);
    }
});
