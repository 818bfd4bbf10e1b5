//! Compose files: YAML tree with positions → interpolation → merge → typed [`project::Project`].

pub mod project;
