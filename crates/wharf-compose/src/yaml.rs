//! The YAML tree: nodes with their places, built from saphyr's events.
//!
//! Anchors and aliases are resolved here and `<<` merge keys are applied (<https://yaml.org/type/merge.html>), so
//! later steps see plain mappings, sequences and scalars. A node that came by an alias keeps the place where it
//! was written. Keys are strings and unique; a second definition of a key is an error, as in Compose.
//!
//! Limits: size of a file, depth, and the number of nodes after expanding aliases (the "billion laughs").

mod merge_key;
mod node;
mod scalar;
mod tree;
mod write;

pub(crate) use node::{Entry, Mapping, Node, Tag, Value};
pub(crate) use scalar::{Scalar, shorten};
pub(crate) use tree::parse;
pub(crate) use write::write;
