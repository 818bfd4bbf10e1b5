//! What is stored and what is promised, in memory: keeps the byte cap and knows who was used least recently.
//!
//! What must always hold: bytes stored + bytes reserved <= cap. A reservation is given up or becomes stored content,
//! never both.

use std::collections::{BTreeSet, HashMap};

use wharf_base::Digest;

use crate::Error;

/// What is known of one stored file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// Its bytes.
    pub(crate) size: u64,
    /// When it was last asked for, in milliseconds since 1970.
    pub(crate) used_ms: i64,
}

/// The books of the store.
#[derive(Debug)]
pub(crate) struct Ledger {
    cap: u64,
    held: HashMap<Digest, Held>,
    /// Least recently used first.
    order: BTreeSet<(i64, Digest)>,
    stored: u64,
    reserved: u64,
}

impl Ledger {
    pub(crate) fn new(cap: u64) -> Ledger {
        Ledger { cap, held: HashMap::new(), order: BTreeSet::new(), stored: 0, reserved: 0 }
    }

    /// Bytes stored, bytes reserved.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.stored, self.reserved)
    }

    pub(crate) fn count(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn get(&self, digest: &Digest) -> Option<&Held> {
        self.held.get(digest)
    }

    /// Notes that somebody asked for it. Its size, if it is there.
    pub(crate) fn touch(&mut self, digest: &Digest, now_ms: i64) -> Option<u64> {
        let held = self.held.get_mut(digest)?;
        if held.used_ms != now_ms {
            self.order.remove(&(held.used_ms, digest.clone()));
            held.used_ms = now_ms;
            self.order.insert((now_ms, digest.clone()));
        }
        Some(held.size)
    }

    /// Takes a file into the books whose bytes were not reserved: one that was found at the start.
    pub(crate) fn found(&mut self, digest: Digest, size: u64, used_ms: i64) {
        self.forget(&digest);
        self.order.insert((used_ms, digest.clone()));
        self.stored += size;
        self.held.insert(digest, Held { size, used_ms });
    }

    /// Reserves `more` bytes. Returns what has to be removed for it, which is no longer in the books.
    ///
    /// Errors: `TooLarge` when `whole`, all bytes of that content, can never fit; `NoRoom` when only reservations of
    /// others stand in the way. Nothing is removed then.
    pub(crate) fn reserve(&mut self, more: u64, whole: u64) -> Result<Vec<Digest>, Error> {
        if whole > self.cap {
            return Err(Error::TooLarge { size: whole, cap: self.cap });
        }
        if self.reserved.saturating_add(more) > self.cap {
            return Err(Error::NoRoom { size: more });
        }
        let removed = self.shrink(self.cap - self.reserved - more);
        self.reserved += more;
        Ok(removed)
    }

    /// Gives reserved bytes back.
    pub(crate) fn give_back(&mut self, bytes: u64) {
        self.reserved = self.reserved.checked_sub(bytes).expect("only what was reserved is given back");
    }

    /// Turns `reserved` bytes of a reservation into the stored file `digest`, whose size is at most that.
    pub(crate) fn store(&mut self, digest: Digest, size: u64, reserved: u64, now_ms: i64) {
        assert!(size <= reserved, "{size} bytes stored of {reserved} reserved");
        self.give_back(reserved);
        self.found(digest, size, now_ms);
    }

    /// Takes it off the books. Whether it was there.
    pub(crate) fn forget(&mut self, digest: &Digest) -> bool {
        let Some(held) = self.held.remove(digest) else { return false };
        self.order.remove(&(held.used_ms, digest.clone()));
        self.stored -= held.size;
        true
    }

    /// Takes the least recently used off the books until at most `bytes` are stored. Returns them.
    pub(crate) fn shrink(&mut self, bytes: u64) -> Vec<Digest> {
        let mut removed = Vec::new();
        while self.stored > bytes {
            let Some((_, digest)) = self.order.first().cloned() else { break };
            self.forget(&digest);
            removed.push(digest);
        }
        removed
    }

    /// Everything stored, with its last use.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&Digest, &Held)> {
        self.held.iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wharf_disk::cas::{Algorithm, digest_of};

    use super::*;

    fn name(number: u8) -> Digest {
        digest_of(Algorithm::Sha256, &[number])
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut ledger = Ledger::new(30);
        for number in 0..3 {
            assert_eq!(ledger.reserve(10, 10).unwrap(), []);
            ledger.store(name(number), 10, 10, i64::from(number));
        }
        ledger.touch(&name(0), 9);
        assert_eq!(ledger.reserve(11, 11).unwrap(), [name(1), name(2)]);
        assert!(matches!(ledger.reserve(31, 31), Err(Error::TooLarge { .. })));
        assert!(matches!(ledger.reserve(20, 20), Err(Error::NoRoom { .. })));
        assert_eq!(ledger.bytes(), (10, 11), "a refusal changes nothing");
    }

    proptest! {
        /// Whatever is done in whatever order, stored and reserved bytes together stay within the cap.
        #[test]
        fn the_cap_is_never_exceeded(
            steps in prop::collection::vec((0u8..4, 0u8..12, 0u64..60), 1..200),
        ) {
            let mut ledger = Ledger::new(100);
            let mut open: Vec<u64> = Vec::new();
            for (now, (what, number, size)) in steps.into_iter().enumerate() {
                match what {
                    0 => if ledger.reserve(size, size).is_ok() { open.push(size) },
                    1 => if let Some(reserved) = open.pop() {
                        ledger.store(name(number), reserved.min(size), reserved, now as i64);
                    },
                    2 => if let Some(reserved) = open.pop() { ledger.give_back(reserved) },
                    _ => { ledger.touch(&name(number), now as i64); }
                }
                let (stored, reserved) = ledger.bytes();
                prop_assert!(stored + reserved <= 100, "{stored} + {reserved}");
                prop_assert_eq!(stored, ledger.all().map(|(_, held)| held.size).sum::<u64>());
                prop_assert_eq!(reserved, open.iter().sum::<u64>());
                prop_assert_eq!(ledger.order.len(), ledger.count());
            }
        }
    }
}
