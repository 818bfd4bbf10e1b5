//! Paths on the machine where the files were written.

use crate::diagnostic::{Place, Problem};
use crate::read::context::Context;

/// Cleans a path as text: no `.` steps, no double slashes, `a/..` taken out, `~` replaced by the home directory.
///
/// The path is relative to the directory of the file in which it stands at `place`. The result is absolute or
/// relative to the project's directory; that directory itself is `.`.
/// Source: Go's `filepath.Clean`, which compose-go applies.
pub(super) fn clean(cx: &Context<'_>, place: Place, path: &str) -> Result<String, Problem> {
    match path.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => match (cx.environment)("HOME") {
            Some(home) if home.starts_with('/') => Ok(clean_text(&format!("{home}{rest}"))),
            Some(_) | None => {
                let message =
                    format!("`{}`: `HOME` is not set, so `~` means nothing", crate::yaml_text(path));
                Err(Problem::value(message))
            }
        },
        _ if path.starts_with('/') => Ok(clean_text(path)),
        _ => Ok(clean_text(&format!("{}/{path}", cx.sink.base(place)))),
    }
}

pub(crate) fn clean_text(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut steps: Vec<&str> = Vec::new();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            ".." => match steps.last() {
                Some(&last) if last != ".." => {
                    steps.pop();
                }
                _ if is_absolute => {}
                _ => steps.push(".."),
            },
            step => steps.push(step),
        }
    }
    match (is_absolute, steps.is_empty()) {
        (true, _) => format!("/{}", steps.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => steps.join("/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans_like_go() {
        for (path, expected) in [
            ("", "."),
            (".", "."),
            ("./", "."),
            ("./a//b/", "a/b"),
            ("a/../b", "b"),
            ("../x", "../x"),
            ("../../x/..", "../.."),
            ("/", "/"),
            ("/a/./../..", "/"),
        ] {
            assert_eq!(clean_text(path), expected, "{path}");
        }
    }
}
