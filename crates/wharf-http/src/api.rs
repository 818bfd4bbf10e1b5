//! The control API as data: what each of its operations takes, answers and demands.
//!
//! A part declares its routes with an [`ApiRouter`], which is axum's router that remembers the paths, and describes each
//! operation on them with an [`Operation`], whose schemas are those of the Rust types themselves (schemars). From both
//! comes the OpenAPI document ([`document`]): the one of the repository from the descriptions alone, the one that a
//! server serves from the paths that it really has ([`Served`]). A test compares them, so a route without a description
//! and a description without a route are both found.
//!
//! Source: OpenAPI 3.1.1, whose schemas are JSON Schema 2020-12. Why not utoipa: docs/decisions/0022.

mod document;
mod operation;
mod router;

pub use document::document;
pub use operation::{Access, Operation, Trace};
pub use router::{ApiRouter, Served};
