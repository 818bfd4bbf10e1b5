//! OCI registry: push and pull, content-addressed and crash-safe.
