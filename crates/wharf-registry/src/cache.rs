//! A small cache, bounded by bytes, that never serves what was written over.
//!
//! Two generations: entries are put into the young one; when that has half of the bytes, it becomes the old one and the
//! previous old one is dropped. A hit in the old one moves the entry to the young one. So what is used stays, without
//! a list to maintain.
//!
//! What must hold: a value that was read from the database before a write is not put in after it. So a reader takes the
//! `epoch` first and hands it in with the value; every removal makes a new epoch, and values of an old one are refused.

use std::collections::HashMap;

/// Bytes that an entry costs beside its key and value: hash map slots and allocations, roughly.
const OVERHEAD: usize = 96;

pub(crate) struct Cache<V> {
    young: HashMap<String, (V, usize)>,
    old: HashMap<String, (V, usize)>,
    young_bytes: usize,
    half: usize,
    epoch: u64,
    hits: u64,
    misses: u64,
}

impl<V: Clone> Cache<V> {
    pub(crate) fn new(bytes_max: usize) -> Cache<V> {
        Cache {
            young: HashMap::new(),
            old: HashMap::new(),
            young_bytes: 0,
            half: bytes_max / 2,
            epoch: 0,
            hits: 0,
            misses: 0,
        }
    }

    pub(crate) fn get(&mut self, key: &str) -> Option<V> {
        if let Some((value, _)) = self.young.get(key) {
            self.hits += 1;
            return Some(value.clone());
        }
        let Some((key, (value, cost))) = self.old.remove_entry(key) else {
            self.misses += 1;
            return None;
        };
        self.hits += 1;
        self.put(key, value.clone(), cost);
        Some(value)
    }

    /// What a reader takes before it reads the database.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Puts in a value that was read after `epoch` was taken. One that is larger than half the cache is left out.
    pub(crate) fn insert(&mut self, epoch: u64, key: String, value: V, bytes: usize) {
        let cost = key.len() + bytes + OVERHEAD;
        if epoch == self.epoch && cost <= self.half {
            self.put(key, value, cost);
        }
    }

    /// Forgets `key`, after its row has changed.
    pub(crate) fn remove(&mut self, key: &str) {
        self.epoch += 1;
        if let Some((_, cost)) = self.young.remove(key) {
            self.young_bytes -= cost;
        }
        self.old.remove(key);
    }

    /// Hits and misses since the start.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.hits, self.misses)
    }

    fn put(&mut self, key: String, value: V, cost: usize) {
        if self.young_bytes + cost > self.half {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        self.young_bytes += cost;
        if let Some((_, replaced)) = self.young.insert(key, (value, cost)) {
            self.young_bytes -= replaced;
        }
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.young.values().chain(self.old.values()).map(|(_, cost)| cost).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_value_read_before_a_write_is_not_put_in_after_it() {
        let mut cache = Cache::new(10_000);
        let epoch = cache.epoch();
        cache.remove("tag");
        cache.insert(epoch, "tag".to_owned(), "stale", 5);
        assert_eq!(cache.get("tag"), None);
        cache.insert(cache.epoch(), "tag".to_owned(), "fresh", 5);
        assert_eq!(cache.get("tag"), Some("fresh"));
        assert_eq!(cache.counts(), (1, 1));
    }

    proptest! {
        #[test]
        fn bytes_stay_bounded_and_what_was_just_put_in_is_there(
            keys in prop::collection::vec((0u8..40, 0usize..900, any::<bool>()), 1..300),
        ) {
            let mut cache = Cache::new(4_000);
            for (key, bytes, is_read) in keys {
                let key = format!("key-{key}");
                if is_read {
                    cache.get(&key);
                } else {
                    cache.insert(cache.epoch(), key.clone(), bytes, bytes);
                    prop_assert_eq!(cache.get(&key), Some(bytes));
                }
                prop_assert!(cache.bytes() <= 4_000);
                let young: usize = cache.young.values().map(|(_, cost)| cost).sum();
                prop_assert_eq!(young, cache.young_bytes);
            }
        }
    }
}
