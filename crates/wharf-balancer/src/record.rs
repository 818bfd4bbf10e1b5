//! The state of one client connection, seen by its own task and by its worker's tick.
//!
//! HTTP/1.1 has one exchange at a time per connection, so timeouts, the claimed target and the decision to move a
//! request elsewhere are kept here, and one walk over all records per tick does the work of a timer per request: no
//! timer is armed and no clock is read for it.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::task::Waker;

use http::HeaderValue;

use crate::framing::Framer;
use crate::pick::has_other;
use crate::shared::Claim;
use crate::table::Compiled;
use crate::tunnel::Tunnel;

/// Number of a worker's tick.
pub(crate) type Tick = u32;

/// LIMIT: ticks that a client has to take the end of an answer once its connection is to close: 10 s.
const CLOSING_TICKS: Tick = 200;

/// What the connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Between requests.
    Idle,
    /// A head has begun to arrive.
    Head,
    /// A request was read, its response's head is not there yet.
    Waiting,
    /// The response's body is being sent.
    Streaming,
    /// Upgraded.
    Tunnel,
    /// Asked to close; what is still being sent may be taken, but not for ever.
    Closing,
}

/// What the tick decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    None,
    /// The response's head is overdue. For the request.
    Timeout,
    /// The target is down and the request can go elsewhere. For the request.
    Move,
    /// Close as soon as nothing is in flight. For the connection.
    Close,
    /// Close now. For the connection.
    Kill,
}

/// Why a body that the client sends could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFault {
    None,
    Malformed,
    TooLarge,
}

/// See the module.
pub(crate) struct Record {
    pub(crate) peer_text: HeaderValue,
    pub(crate) local_text: HeaderValue,
    pub(crate) is_trusted: bool,
    pub(crate) phase: Cell<Phase>,
    pub(crate) deadline: Cell<Tick>,
    /// Ticks that the response's head may take: the route's, else the balancer's.
    pub(crate) response_ticks: Cell<Tick>,
    pub(crate) verdict: Cell<Verdict>,
    pub(crate) claim: RefCell<Option<Claim>>,
    /// The claimed target's `downs` when the request was sent.
    downs: Cell<u32>,
    /// The request in flight may be sent to another target.
    pub(crate) is_movable: Cell<bool>,
    pub(crate) framer: RefCell<Framer>,
    /// Requests that the service has seen.
    pub(crate) requests: Cell<u64>,
    pub(crate) bytes_in: Cell<u64>,
    pub(crate) body_fault: Cell<BodyFault>,
    /// The target waits for more of the body, and so do we.
    pub(crate) waits_for_client: Cell<bool>,
    /// The client waits for more of the response, and so do we.
    pub(crate) waits_for_target: Cell<bool>,
    /// After an error of the client's: read what it still sends, else it sees a reset instead of our answer.
    pub(crate) lingers: Cell<bool>,
    pub(crate) is_tunnel: Cell<bool>,
    pub(crate) tunnel: RefCell<Option<Tunnel>>,
    waker: RefCell<Option<Waker>>,
}

impl Record {
    pub(crate) fn new(peer: SocketAddr, local: SocketAddr, is_trusted: bool, deadline: Tick) -> Record {
        let text = |text: String| HeaderValue::from_str(&text).expect("an address is printable ASCII");
        Record {
            peer_text: text(peer.ip().to_canonical().to_string()),
            local_text: text(local.to_string()),
            is_trusted,
            phase: Cell::new(Phase::Idle),
            deadline: Cell::new(deadline),
            response_ticks: Cell::new(Tick::MAX),
            verdict: Cell::new(Verdict::None),
            claim: RefCell::new(None),
            downs: Cell::new(0),
            is_movable: Cell::new(false),
            framer: RefCell::new(Framer::default()),
            requests: Cell::new(0),
            bytes_in: Cell::new(0),
            body_fault: Cell::new(BodyFault::None),
            waits_for_client: Cell::new(false),
            waits_for_target: Cell::new(false),
            lingers: Cell::new(false),
            is_tunnel: Cell::new(false),
            tunnel: RefCell::new(None),
            waker: RefCell::new(None),
        }
    }

    /// Enters a phase that must end before `deadline`.
    pub(crate) fn enter(&self, phase: Phase, deadline: Tick) {
        self.phase.set(phase);
        self.deadline.set(deadline);
    }

    /// Takes over a claim for the next try.
    pub(crate) fn set_claim(&self, claim: Claim, is_movable: bool) {
        self.downs.set(claim.backend.downs());
        self.is_movable.set(is_movable);
        self.claim.replace(Some(claim));
    }

    /// Remembers the task, so that the tick can wake it.
    pub(crate) fn set_waker(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// Decides, and wakes the task to act on it.
    pub(crate) fn decide(&self, verdict: Verdict) {
        self.verdict.set(verdict);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// The verdict for the request that is waiting, taken once.
    pub(crate) fn take_request_verdict(&self) -> Verdict {
        match self.verdict.get() {
            verdict @ (Verdict::Timeout | Verdict::Move) => {
                self.verdict.set(Verdict::None);
                verdict
            }
            _ => Verdict::None,
        }
    }

    /// One step of the worker's walk.
    pub(crate) fn tick(&self, now: Tick, table: &Compiled) {
        if self.deadline.get() <= now {
            // Once is enough, whatever becomes of it.
            self.deadline.set(Tick::MAX);
            self.decide(match self.phase.get() {
                Phase::Idle => Verdict::Close,
                Phase::Waiting => Verdict::Timeout,
                Phase::Head | Phase::Streaming | Phase::Tunnel | Phase::Closing => Verdict::Kill,
            });
            if self.phase.get() == Phase::Idle {
                // hyper closes once all is sent, which a client that takes nothing would put off for ever.
                self.enter(Phase::Closing, now.saturating_add(CLOSING_TICKS));
            }
        } else if self.phase.get() == Phase::Waiting && self.is_movable.get() && self.should_move(table) {
            self.is_movable.set(false);
            self.decide(Verdict::Move);
        }
    }

    /// The target went down since the request was sent there, and the newest table has another one for it.
    fn should_move(&self, table: &Compiled) -> bool {
        let claim = self.claim.borrow();
        let Some(claim) = &*claim else { return false };
        let backend = &claim.backend;
        backend.downs() != self.downs.get()
            && backend.is_down()
            && table.same_route(&claim.route).is_some_and(|route| has_other(route, backend.uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_connection_that_does_not_close_is_ended() {
        let address = ([127, 0, 0, 1], 1).into();
        let record = Record::new(address, address, false, 1);
        let table = Compiled::new(0, 0, 0, Vec::new());
        record.tick(1, &table);
        assert_eq!(record.verdict.replace(Verdict::None), Verdict::Close);
        record.tick(CLOSING_TICKS, &table);
        assert_eq!(record.verdict.get(), Verdict::None);
        record.tick(1 + CLOSING_TICKS, &table);
        assert_eq!(record.verdict.get(), Verdict::Kill);
    }
}
