//! What `cargo xtask dist` makes, used as its users would.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod debian;
mod image;
mod made;
