//! Growing waits between tries, with jitter, so that a thousand agents don't come back in one second.

use std::time::Duration;

/// Waits that double from `first` to `most`, each shortened by up to a half by a seeded generator.
///
/// Source of the shape: AWS Architecture Blog, "Exponential Backoff And Jitter" (equal jitter).
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    tries: u32,
    state: u64,
}

impl Backoff {
    /// Starts at `first` and never waits longer than `most`. The same `seed` gives the same waits.
    pub fn new(first: Duration, most: Duration, seed: u64) -> Backoff {
        Backoff { first, most, tries: 0, state: seed }
    }

    /// The time to wait before the next try.
    pub fn next_wait(&mut self) -> Duration {
        let factor = 1u32.checked_shl(self.tries).unwrap_or(u32::MAX);
        let full = self.first.saturating_mul(factor).min(self.most);
        self.tries = self.tries.saturating_add(1).min(31);
        let half = full / 2;
        half + half.mul_f64(self.random_unit())
    }

    /// Goes back to the first wait, after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }

    /// splitmix64 (Steele, Lea, Flood 2014), as a number in [0, 1).
    fn random_unit(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn waits_grow_stay_bounded_and_start_over(seed in any::<u64>()) {
            let (first, most) = (Duration::from_millis(100), Duration::from_secs(5));
            let mut backoff = Backoff::new(first, most, seed);
            let mut full = first;
            for _ in 0..40 {
                let wait = backoff.next_wait();
                prop_assert!(wait >= full / 2 && wait <= full, "{wait:?} of {full:?}");
                full = (full * 2).min(most);
            }
            backoff.reset();
            prop_assert!(backoff.next_wait() <= first);
        }
    }
}
