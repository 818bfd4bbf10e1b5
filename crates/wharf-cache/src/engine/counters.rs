//! What a cache has done since its start, per ecosystem.

use std::sync::atomic::{AtomicU64, Ordering};

use schemars::JsonSchema;
use serde::Serialize;

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $field:ident),+ $(,)?) => {
        /// Counters; they only grow.
        #[derive(Default)]
        pub(crate) struct Counters { $($field: AtomicU64),+ }

        /// Counts of one ecosystem since the start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
        pub struct Counts { $($(#[doc = $doc])+ pub $field: u64),+ }

        impl Counters {
            /// As they are now.
            pub(crate) fn counts(&self) -> Counts {
                Counts { $($field: self.$field.load(Ordering::Relaxed)),+ }
            }
        }
    };
}

counters! {
    /// Requests answered from what was stored.
    hits,
    /// Requests that read along while another one's transfer ran.
    joined,
    /// Requests that started a transfer.
    misses,
    /// Requests passed on without being stored: no index names a digest.
    passed,
    /// Requests answered with something older than the upstream may have, because it was not usable.
    stale,
    /// Requests refused because too many transfers ran.
    refused,
    /// Requests sent to upstreams.
    fetches,
    /// Of these, those that went on with or repeated a transfer.
    retries,
    /// Times an upstream sent other bytes than its index says.
    wrong,
    /// Bytes received from upstreams.
    bytes_in,
    /// Bytes sent to clients.
    bytes_out,
}

impl Counters {
    pub(crate) fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn joined(&self) {
        self.joined.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn passed(&self) {
        self.passed.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stale(&self) {
        self.stale.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn fetch(&self) {
        self.fetches.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn wrong_bytes(&self) {
        self.wrong.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn bytes_in(&self, count: u64) {
        self.bytes_in.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn bytes_out(&self, count: u64) {
        self.bytes_out.fetch_add(count, Ordering::Relaxed);
    }
}
