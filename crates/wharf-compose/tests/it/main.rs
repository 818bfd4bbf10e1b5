//! The loader as its callers use it.
#![expect(
    clippy::unwrap_used,
    reason = "clippy knows only functions marked #[test], helpers here are tests too"
)]

mod files;
mod golden;
mod lost_keys;
mod merge;
mod messages;
mod robustness;
mod round_trip;

use std::collections::BTreeMap;

use wharf_compose::{Errors, Loaded, Options, ReadError, SourceFile, load};

/// Loads texts that are named `compose.yaml`, `2.yaml`, …, in the project `test`, with `A=a` and `EMPTY=` set.
fn load_texts(texts: &[&str]) -> Result<Loaded, Errors> {
    let files: Vec<SourceFile> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| SourceFile {
            path: if index == 0 { "compose.yaml".to_owned() } else { format!("{}.yaml", index + 1) },
            text: (*text).to_owned(),
        })
        .collect();
    let environment = BTreeMap::from([("A", "a"), ("EMPTY", ""), ("HOME", "/home/ada")]);
    let options = Options { directory_name: Some("test".to_owned()), ..Options::default() };
    load(
        &files,
        &|name| environment.get(name).map(|value| (*value).to_owned()),
        &mut |_| Err(ReadError::NotFound),
        &options,
    )
}
