//! Words of roles in the database and in messages.

use wharf_http::Role;

const ALL: [Role; 3] = [Role::Viewer, Role::Deployer, Role::Admin];

/// The word in JSON, in the database and in messages.
pub(crate) fn word(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Deployer => "deployer",
        Role::Admin => "admin",
    }
}

/// Reads [`word`] back.
pub(crate) fn parse(text: &str) -> Option<Role> {
    ALL.into_iter().find(|role| word(*role) == text)
}

/// Whether it may change things.
pub(crate) fn may_change(role: Role) -> bool {
    role >= Role::Deployer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_ordered_and_their_words_are_those_of_the_json() {
        assert!(!may_change(Role::Viewer) && may_change(Role::Deployer) && may_change(Role::Admin));
        for role in ALL {
            assert_eq!(parse(word(role)), Some(role));
            assert_eq!(serde_json::to_value(role).unwrap(), word(role));
        }
        assert_eq!(parse("root"), None);
    }
}
