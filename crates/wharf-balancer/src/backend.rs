//! What is known of one target at run time. It outlives a table that still has the target.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use wharf_model::TargetState;

/// Connect failures in a row that take a target out at once, without waiting for its check.
const CONNECT_FAILURES_MAX: u32 = 2;

/// One target, shared by all workers. Identity: `id` and `address`.
pub(crate) struct Backend {
    /// Number that is never used again; pools are kept under it.
    pub(crate) uid: u64,
    pub(crate) id: String,
    pub(crate) address: SocketAddr,
    pub(crate) host: String,
    in_flight: AtomicU32,
    control: AtomicU8,
    is_healthy: AtomicBool,
    is_ejected: AtomicBool,
    is_retired: AtomicBool,
    connect_failures: AtomicU32,
    /// Grows each time that it goes out. A pool that sees a new number drops its idle connections.
    downs: AtomicU32,
    pub(crate) counts: Counts,
}

/// Counters of one target.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) requests: AtomicU64,
    pub(crate) connects: AtomicU64,
    pub(crate) connect_failures: AtomicU64,
    pub(crate) checks_failed: AtomicU64,
    pub(crate) ejections: AtomicU64,
}

impl Backend {
    /// A target starts as healthy: the control plane puts only healthy ones into a table.
    pub(crate) fn new(uid: u64, target: &wharf_model::Target) -> Backend {
        Backend {
            uid,
            id: target.id.clone(),
            address: target.address,
            host: target.host.clone(),
            in_flight: AtomicU32::new(0),
            control: AtomicU8::new(code(target.state)),
            is_healthy: AtomicBool::new(true),
            is_ejected: AtomicBool::new(false),
            is_retired: AtomicBool::new(false),
            connect_failures: AtomicU32::new(0),
            downs: AtomicU32::new(0),
            counts: Counts::default(),
        }
    }

    /// Counts a request in. SeqCst: see [`crate::shared::Shared::claim`].
    pub(crate) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::SeqCst)
    }

    pub(crate) fn control(&self) -> TargetState {
        match self.control.load(Ordering::SeqCst) {
            0 => TargetState::Active,
            1 => TargetState::Draining,
            _ => TargetState::Lost,
        }
    }

    /// Takes over what a new table says.
    pub(crate) fn set_control(&self, state: TargetState) {
        let before = self.control.swap(code(state), Ordering::SeqCst);
        if state == TargetState::Lost && before != code(TargetState::Lost) {
            self.downs.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Gets requests in the normal case.
    pub(crate) fn is_up(&self) -> bool {
        self.control() == TargetState::Active && !self.is_out()
    }

    /// Failed its checks or its connects.
    pub(crate) fn is_out(&self) -> bool {
        !self.is_healthy.load(Ordering::Relaxed) || self.is_ejected.load(Ordering::Relaxed)
    }

    /// Known to be unreachable: requests in flight there that may be repeated should move.
    pub(crate) fn is_down(&self) -> bool {
        self.control() == TargetState::Lost || self.is_out()
    }

    pub(crate) fn is_healthy(&self) -> bool {
        self.is_healthy.load(Ordering::Relaxed)
    }

    pub(crate) fn is_ejected(&self) -> bool {
        self.is_ejected.load(Ordering::Relaxed)
    }

    pub(crate) fn downs(&self) -> u32 {
        self.downs.load(Ordering::SeqCst)
    }

    /// The check's verdict, after rise and fall.
    pub(crate) fn set_healthy(&self, is_healthy: bool) {
        let before = self.is_healthy.swap(is_healthy, Ordering::SeqCst);
        if before && !is_healthy {
            self.downs.fetch_add(1, Ordering::SeqCst);
            tracing::warn!(target = %self.id, address = %self.address, "target failed its health checks");
        } else if !before && is_healthy {
            tracing::info!(target = %self.id, address = %self.address, "target passes its health checks again");
        }
    }

    /// One check passed: what requests saw is history.
    pub(crate) fn readmit(&self) {
        self.connect_failures.store(0, Ordering::Relaxed);
        if self.is_ejected.swap(false, Ordering::SeqCst) {
            tracing::info!(target = %self.id, address = %self.address, "target takes connections again");
        }
    }

    pub(crate) fn connected(&self) {
        self.counts.connects.fetch_add(1, Ordering::Relaxed);
        self.connect_failures.store(0, Ordering::Relaxed);
    }

    /// A request could not connect. The second time in a row the target is out until a check passes.
    pub(crate) fn connect_failed(&self) {
        self.counts.connect_failures.fetch_add(1, Ordering::Relaxed);
        let failures = self.connect_failures.fetch_add(1, Ordering::Relaxed) + 1;
        if failures >= CONNECT_FAILURES_MAX && !self.is_ejected.swap(true, Ordering::SeqCst) {
            self.counts.ejections.fetch_add(1, Ordering::Relaxed);
            self.downs.fetch_add(1, Ordering::SeqCst);
            tracing::warn!(target = %self.id, address = %self.address, failures, "target cannot be connected to and is out");
        }
    }

    /// No table has it any more; its check ends and its idle connections are dropped.
    pub(crate) fn retire(&self) {
        self.is_retired.store(true, Ordering::SeqCst);
        self.downs.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.is_retired.load(Ordering::SeqCst)
    }
}

fn code(state: TargetState) -> u8 {
    match state {
        TargetState::Active => 0,
        TargetState::Draining => 1,
        TargetState::Lost => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend() -> Backend {
        let address = ([127, 0, 0, 1], 1).into();
        let target =
            wharf_model::Target { id: "a".into(), address, host: String::new(), state: TargetState::Active };
        Backend::new(1, &target)
    }

    #[test]
    fn two_connect_failures_in_a_row_eject_until_a_check_passes() {
        let backend = backend();
        backend.connect_failed();
        backend.connected();
        backend.connect_failed();
        assert!(backend.is_up());
        backend.connect_failed();
        assert!(backend.is_ejected() && !backend.is_up() && backend.is_down());
        assert_eq!(backend.downs(), 1);
        backend.readmit();
        assert!(backend.is_up());
    }

    #[test]
    fn each_way_out_is_counted_once() {
        let backend = backend();
        backend.set_healthy(false);
        backend.set_healthy(false);
        assert_eq!(backend.downs(), 1);
        backend.set_control(TargetState::Lost);
        backend.set_control(TargetState::Lost);
        assert_eq!(backend.downs(), 2);
        backend.set_healthy(true);
        backend.set_control(TargetState::Active);
        assert!(backend.is_up());
    }
}
