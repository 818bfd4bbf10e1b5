//! What the cache tells people and programs about itself.

use schemars::JsonSchema;
use serde::Serialize;

use crate::{Counts, Ecosystem};

/// How the cache is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct CacheStats {
    /// Addresses, HOST:PORT.
    pub listens: Vec<String>,
    /// Bytes stored.
    pub bytes: u64,
    /// Most bytes that may be stored, `cache.size_max`.
    pub bytes_max: u64,
    /// Bytes kept free for transfers that run.
    pub bytes_reserved: u64,
    /// Files stored.
    pub files: u64,
    /// Files removed since the start to make room.
    pub evicted: u64,
    /// Transfers from upstreams that run or wait.
    pub transfers: u64,
    /// Why nothing more is stored, after a failed fsync.
    pub refuses_writes: Option<String>,
    /// Each kind of packages.
    pub ecosystems: Vec<EcosystemView>,
}

/// One kind of packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EcosystemView {
    /// Which.
    pub ecosystem: Ecosystem,
    /// Where its packages come from; none: it is off.
    pub upstreams: Vec<String>,
    /// Files stored.
    pub files: u64,
    /// Bytes stored.
    pub bytes: u64,
    /// Since the start.
    pub counts: Counts,
}

/// A stored file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EntryView {
    /// Kind of packages.
    pub ecosystem: String,
    /// Where it came from.
    pub source: String,
    /// Digest of its bytes.
    pub digest: String,
    /// Its bytes.
    pub bytes: u64,
    /// When it was last asked for, in milliseconds since 1970.
    pub used_ms: i64,
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Purged {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}
