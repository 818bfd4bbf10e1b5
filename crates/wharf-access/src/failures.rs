//! A bound on wrong tokens: so many per address and minute, with a bounded memory of addresses.
//!
//! It limits noise and log volume rather than guessing (nobody guesses 256 bits), so a right token is let in even
//! from an address that is over its bound: a broken client on the same machine must not lock the operator out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use wharf_base::UnixMillis;

/// LIMIT: addresses remembered; the one that failed longest ago makes room. About 100 bytes each.
const ADDRESSES_MAX: usize = 1_024;
const WINDOW: Duration = Duration::from_secs(60);

/// Counts failures by address.
#[derive(Debug)]
pub(crate) struct Failures {
    per_window: u32,
    by_address: Mutex<BTreeMap<IpAddr, Window>>,
    refused: AtomicU64,
}

#[derive(Debug)]
struct Window {
    started: UnixMillis,
    count: u32,
}

impl Failures {
    pub(crate) fn new(per_window: u32) -> Failures {
        Failures { per_window, by_address: Mutex::default(), refused: AtomicU64::new(0) }
    }

    /// Counts one failure. `false`: this address is over its bound.
    pub(crate) fn count(&self, address: IpAddr, now: UnixMillis) -> bool {
        let mut by_address = self.by_address.lock().expect("no holder panics");
        if !by_address.contains_key(&address) && by_address.len() >= ADDRESSES_MAX {
            by_address.retain(|_, window| now.since(window.started) < WINDOW);
            let oldest =
                by_address.iter().min_by_key(|(_, window)| window.started).map(|(address, _)| *address);
            if let (Some(oldest), true) = (oldest, by_address.len() >= ADDRESSES_MAX) {
                by_address.remove(&oldest);
            }
        }
        let window = by_address.entry(address).or_insert(Window { started: now, count: 0 });
        if now.since(window.started) >= WINDOW {
            *window = Window { started: now, count: 0 };
        }
        window.count = window.count.saturating_add(1);
        let is_within = window.count <= self.per_window;
        if !is_within {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        is_within
    }

    /// Failures that were over the bound, since the start.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn address(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(number))
    }

    #[test]
    fn each_address_has_its_own_bound_which_ends_with_the_minute() {
        let failures = Failures::new(2);
        let start = UnixMillis(1_000);
        assert!(failures.count(address(1), start));
        assert!(failures.count(address(1), start));
        assert!(!failures.count(address(1), start));
        assert!(failures.count(address(2), start), "another address");
        assert!(failures.count(address(1), start.plus(WINDOW)), "the next minute");
        assert_eq!(failures.refused(), 1);
    }

    #[test]
    fn memory_of_addresses_is_bounded() {
        let failures = Failures::new(2);
        for number in 0..ADDRESSES_MAX as u32 * 2 {
            failures.count(address(number), UnixMillis(i64::from(number)));
        }
        assert_eq!(failures.by_address.lock().unwrap().len(), ADDRESSES_MAX);
    }
}
