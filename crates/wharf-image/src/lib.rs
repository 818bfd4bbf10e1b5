//! Builds images on an Engine and pushes them to our registry.
