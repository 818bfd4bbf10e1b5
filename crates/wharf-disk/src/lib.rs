//! Files that survive kill -9: atomic writes and a content-addressed store.
