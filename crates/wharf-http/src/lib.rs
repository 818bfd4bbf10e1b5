//! The HTTP edges of Wharf: everything that listens and everything that dials, but the balancer's data plane.
//!
//! - [`bind`] and [`serve`]: listeners with optional TLS, limits, drain on shutdown. Each request carries a [`Peer`].
//! - [`pki`]: our certificate authority, server and host certificates, TLS configurations (rustls with ring).
//! - [`Client`] and [`connect_h2`]: HTTP/1.1 and WebSocket for commands, HTTP/2 with pings for agents.
//! - [`ApiError`]: the one shape of an error answer, on both sides.
//! - [`api`]: the control API as data, from which comes the OpenAPI document.
//! - [`sse`]: server-sent events, written and read.

pub mod api;
mod api_error;
mod client;
mod error;
mod linger;
mod listener;
mod peer;
pub mod pki;
pub mod sse;
mod ticks;

pub use api_error::{ApiError, ErrorBody};
pub use client::{Body, Client, Endpoint, WebSocket, connect_h2, empty, full};
pub use error::Error;
pub use listener::{Ping, ServerOptions, Windows, bind, serve, serve_stream};
pub use peer::{Caller, Peer, Role};
pub use tokio_tungstenite::tungstenite::Message as WebSocketMessage;
