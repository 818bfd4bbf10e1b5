//! `security_opt`: as written, but for a seccomp profile, whose content the Engine takes.

use std::collections::BTreeSet;

use super::TranslateError;
use super::service::Input;

/// The options in the Engine's form.
///
/// Errors: a seccomp profile that came as a path. The command puts the content in its place before it deploys.
pub(super) fn options(input: &Input<'_>) -> Result<BTreeSet<String>, TranslateError> {
    let mut options = BTreeSet::new();
    for option in &input.service.security_opt {
        match option.strip_prefix("seccomp").and_then(|rest| rest.strip_prefix([':', '='])) {
            Some(profile) if profile == "unconfined" || profile.trim_start().starts_with('{') => {
                options.insert(format!("seccomp={profile}"));
            }
            Some(path) => {
                return Err(TranslateError::new(
                    input.place("security_opt"),
                    format!("the seccomp profile `{path}` did not come along with the deploy"),
                    "deploy with the wharf command, which reads the file that the path names",
                ));
            }
            None => drop(options.insert(option.clone())),
        }
    }
    Ok(options)
}
