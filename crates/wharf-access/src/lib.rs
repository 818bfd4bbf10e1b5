//! Who may do what: API tokens, sessions, the authentication layer.
