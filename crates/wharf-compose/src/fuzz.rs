//! The entry for fuzzing: arbitrary bytes through every step.

use crate::load::{Options, ReadError, SourceFile, load};
use crate::{Errors, Loaded, dotenv};

/// Loads arbitrary bytes as Compose files; a line `=====` separates files, and the last of several is what every
/// `env_file` holds.
///
/// For fuzz targets and property tests: it must return for any input, with a project that its own JSON form gives
/// back, or with at least one error.
pub fn load_bytes(data: &[u8]) -> Result<Loaded, Errors> {
    let text = String::from_utf8_lossy(data);
    let mut parts: Vec<&str> = text.split("\n=====\n").collect();
    let env_file = if parts.len() > 1 { parts.pop() } else { None };
    let files: Vec<SourceFile> = parts
        .iter()
        .enumerate()
        .map(|(index, text)| SourceFile { path: format!("{index}.yaml"), text: (*text).to_owned() })
        .collect();
    let environment = |name: &str| match name {
        "SET" => Some("value".to_owned()),
        "EMPTY" => Some(String::new()),
        "HOME" => Some("/root".to_owned()),
        _ => None,
    };
    if let Some(env_file) = env_file {
        // Its errors are found again through `env_file`, if a service names one.
        let _ = dotenv::parse(".env", env_file, &environment);
    }
    let mut reader = |_: &str| env_file.map(str::to_owned).ok_or(ReadError::NotFound);
    let options = Options { directory_name: Some("fuzz".to_owned()), ..Options::default() };
    load(&files, &environment, &mut reader, &options)
}
