//! Names: of the project, and of the things in it.

use crate::diagnostic::Problem;

/// Makes a project name of any text as Compose does: lower case, only `[a-z0-9_-]`, beginning with a letter or
/// digit. The result is empty if nothing is left.
///
/// Source: compose-go `loader.NormalizeProjectName`.
pub fn normalize_project_name(text: &str) -> String {
    let kept: String = text
        .to_lowercase()
        .chars()
        .filter(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
        .collect();
    kept.trim_start_matches(['_', '-']).to_owned()
}

/// Checks the key of a service, network or volume (`^[a-zA-Z0-9._-]+$` in the schema).
pub(crate) fn check_key(kind: &str, key: &str) -> Result<(), Problem> {
    let valid = !key.is_empty()
        && key.len() <= 255
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    if valid {
        return Ok(());
    }
    let problem = Problem::value(format!("`{}` is not a name of a {kind}", crate::yaml_text(key)));
    Err(problem.hint("use letters, digits, `.`, `_` and `-`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn project_names_become_what_compose_makes_of_them() {
        for (text, expected) in [
            ("shop", "shop"),
            ("My Shop!", "myshop"),
            ("_-web_1", "web_1"),
            ("a.b", "ab"),
            ("Ünï", "n"),
            ("---", ""),
            ("2048", "2048"),
        ] {
            assert_eq!(normalize_project_name(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn normalizing_twice_is_normalizing_once(text in ".{0,40}") {
            let once = normalize_project_name(&text);
            prop_assert_eq!(normalize_project_name(&once), once);
        }
    }
}
