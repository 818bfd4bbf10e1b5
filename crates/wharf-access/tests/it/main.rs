//! Access over HTTP: the routes behind the layer, on a real database.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod events;
mod fixture;
mod sessions;
mod tokens;
