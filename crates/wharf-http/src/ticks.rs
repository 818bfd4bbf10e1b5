//! A timer that wakes on ticks, for what many connections wait for and nobody needs to the millisecond.
//!
//! A thousand agents are pinged every second. Each at its own time that is a thousand wake-ups of a worker, each for one
//! small write, and the answers come back as many; on common ticks one wake-up serves all that are due. A wait ends up to
//! one [`TICK`] late, never early.

use std::pin::Pin;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};
use hyper_util::rt::TokioTimer;

/// Loss of a host is noticed within three seconds: two waits, each up to this much longer, stay below.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// When the ticks began. All connections of the process share them.
static BEGAN: OnceLock<Instant> = OnceLock::new();

/// Rounds deadlines up to ticks.
#[derive(Clone, Debug)]
pub(crate) struct Ticks {
    began: Instant,
    timer: TokioTimer,
}

impl Ticks {
    /// The ticks of this process.
    pub(crate) fn new() -> Ticks {
        let began = *BEGAN.get_or_init(|| tokio::time::Instant::now().into_std());
        Ticks { began, timer: TokioTimer::new() }
    }

    /// The first tick that is not before `deadline`.
    fn after(&self, deadline: Instant) -> Instant {
        let since = deadline.saturating_duration_since(self.began).as_nanos();
        let ticks = since.div_ceil(TICK.as_nanos());
        // A deadline that far away is none.
        u32::try_from(ticks).map_or(deadline, |ticks| self.began + TICK * ticks)
    }
}

impl Timer for Ticks {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.timer.sleep_until(self.after(deadline))
    }

    fn now(&self) -> Instant {
        self.timer.now()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, new_deadline: Instant) {
        self.timer.reset(sleep, self.after(new_deadline));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_deadline_is_moved_to_the_next_tick_and_never_forward() {
        let ticks = Ticks::new();
        let at = |millis: u64| ticks.began + Duration::from_millis(millis);
        for (deadline, expected) in [(0, 0), (1, 50), (50, 50), (51, 100), (1_000, 1_000), (2_801, 2_850)] {
            assert_eq!(ticks.after(at(deadline)), at(expected), "{deadline} ms");
        }
        assert_eq!(ticks.after(ticks.began - Duration::from_secs(1)), ticks.began, "what is due is due");
    }

    #[tokio::test(start_paused = true)]
    async fn waits_of_many_end_together() {
        let began = Ticks::new().began;
        let waits = [1_001, 1_020, 1_049, 1_050].map(|millis| async move {
            Ticks::new().sleep_until(began + Duration::from_millis(millis)).await;
            tokio::time::Instant::now()
        });
        let ends: std::collections::BTreeSet<_> =
            futures_util::future::join_all(waits).await.into_iter().collect();
        assert_eq!(ends.len(), 1, "{ends:?}");
    }
}
