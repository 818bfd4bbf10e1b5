//! Dockerfile language: .dockerignore with Docker's own semantics.
