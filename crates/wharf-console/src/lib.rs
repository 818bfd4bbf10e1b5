//! Web console, embedded.
