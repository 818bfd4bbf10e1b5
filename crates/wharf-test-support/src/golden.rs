//! Golden files: what was printed is compared with a file in `testdata/`.

use std::env;
use std::fs;
use std::path::Path;

/// Compares `actual` with the file at `path`; with `UPDATE_EXPECT=1` in the environment writes the file instead.
///
/// Panics with the first line that differs.
pub fn expect_file(path: impl AsRef<Path>, actual: &str) {
    let path = path.as_ref();
    if env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1") {
        fs::write(path, actual).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        return;
    }
    let expected = fs::read_to_string(path)
        .unwrap_or_else(|error| panic!("cannot read {}: {error}; hint: UPDATE_EXPECT=1", path.display()));
    if expected == actual {
        return;
    }
    let same = expected.lines().zip(actual.lines()).take_while(|(left, right)| left == right).count();
    panic!(
        "{}:{} differs\n expected: {}\n   actual: {}\n hint: UPDATE_EXPECT=1 rewrites it",
        path.display(),
        same + 1,
        expected.lines().nth(same).unwrap_or("(end)"),
        actual.lines().nth(same).unwrap_or("(end)"),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "file:2 differs")]
    fn names_the_first_line_that_differs() {
        let dir = crate::temp_dir();
        fs::write(dir.path().join("file"), "a\nb\n").unwrap();
        expect_file(dir.path().join("file"), "a\nc\n");
    }
}
