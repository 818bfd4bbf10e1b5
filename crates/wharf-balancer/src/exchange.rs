//! One request from its head to the last byte of its response: what is logged and counted when it ends.
//!
//! An exchange ends by being dropped, wherever that happens: at the end of the response's body, or with the whole
//! connection when the client goes away. So there is exactly one log line and one count per request.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::header::{self, HeaderValue};
use http::{Method, Request, StatusCode, Uri, Version};

use crate::failure::{
    TERM_CLIENT_DATA, TERM_CLIENT_HEAD, TERM_CLIENT_TIMEOUT, TERM_FINE, TERM_KILLED, TERM_SERVER_TIMEOUT,
    Term,
};
use crate::headers;
use crate::log_line::Line;
use crate::record::{BodyFault, Phase, Record, Verdict};
use crate::release::Outcome;
use crate::table::Route;
use crate::worker::Worker;

/// What nginx logs when the client went before the response's head.
const STATUS_CLIENT_WENT: u16 = 499;

/// See the module.
pub(crate) struct Exchange {
    pub(crate) worker: Rc<Worker>,
    pub(crate) record: Rc<Record>,
    started: Instant,
    method: Method,
    uri: Uri,
    version: Version,
    host: Option<HeaderValue>,
    referer: Option<HeaderValue>,
    user_agent: Option<HeaderValue>,
    pub(crate) id: HeaderValue,
    pub(crate) attempts: u32,
    /// The last try: when it began, and how long it took to connect and to get the head.
    tried_at: Option<Instant>,
    pub(crate) connect_us: Option<u64>,
    upstream_us: Option<u64>,
    /// Status that was given to hyper to send; 0 before that.
    status: u16,
    pub(crate) bytes_out: u64,
    term: Option<Term>,
    /// Where it belongs if no target was claimed.
    pub(crate) route: Option<Arc<Route>>,
    /// Ended as it should: the client has been given all of it.
    is_complete: bool,
}

impl Exchange {
    pub(crate) fn begin<B>(worker: Rc<Worker>, record: Rc<Record>, request: &Request<B>) -> Box<Exchange> {
        let get = |name: header::HeaderName| request.headers().get(name).cloned();
        let is_logged = worker.log.borrow().is_on();
        record.bytes_in.set(0);
        record.body_fault.set(BodyFault::None);
        record.waits_for_client.set(false);
        record.waits_for_target.set(false);
        record.response_ticks.set(worker.settings.response);
        record.enter(Phase::Waiting, worker.deadline(worker.settings.response));
        Box::new(Exchange {
            started: Instant::now(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            host: get(header::HOST),
            referer: if is_logged { get(header::REFERER) } else { None },
            user_agent: if is_logged { get(header::USER_AGENT) } else { None },
            id: headers::request_id(request.headers()).unwrap_or_else(|| worker.new_id()),
            attempts: 0,
            tried_at: None,
            connect_us: None,
            upstream_us: None,
            status: 0,
            bytes_out: 0,
            term: None,
            route: None,
            is_complete: false,
            worker,
            record,
        })
    }

    /// A try begins. The first one began with the request: one clock read less.
    pub(crate) fn begin_try(&mut self) {
        self.tried_at = Some(if self.attempts == 0 { self.started } else { Instant::now() });
        self.attempts += 1;
    }

    /// The response's head came from the target.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
        self.upstream_us = self.tried_at.map(|at| micros(at.elapsed()));
        self.stream(self.worker.settings.idle);
    }

    /// The answer is ours.
    pub(crate) fn failed(&mut self, status: StatusCode, term: Term) {
        self.status = status.as_u16();
        self.term = Some(term);
        self.stream(self.worker.settings.idle);
    }

    fn stream(&self, ticks: u32) {
        self.record.is_movable.set(false);
        self.record.enter(Phase::Streaming, self.worker.deadline(ticks));
    }

    /// Ended otherwise than by its end.
    pub(crate) fn end_with(&mut self, term: Term) {
        self.term.get_or_insert(term);
    }

    /// A HEAD request: the answer has no body.
    pub(crate) fn is_head(&self) -> bool {
        self.method == Method::HEAD
    }

    pub(crate) fn complete(&mut self) {
        self.is_complete = true;
    }
}

impl Exchange {
    fn term_of_end(&self) -> Term {
        let was_cut = self.record.verdict.get() == Verdict::Kill;
        match (self.is_complete, self.status) {
            (true, _) => TERM_FINE,
            _ if self.worker.is_killing.get() => TERM_KILLED,
            _ if was_cut && self.record.waits_for_target.get() => TERM_SERVER_TIMEOUT,
            _ if was_cut => TERM_CLIENT_TIMEOUT,
            (false, 0) => TERM_CLIENT_HEAD,
            (false, _) => TERM_CLIENT_DATA,
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let micros = micros(self.started.elapsed());
        let status = if self.status == 0 { STATUS_CLIENT_WENT } else { self.status };
        let term = self.term.unwrap_or_else(|| self.term_of_end());
        let is_client_abort = !self.is_complete && matches!(term[0], b'C' | b'c');
        let claim = self.record.claim.take();
        let route = claim.as_ref().map(|claim| &claim.route).or(self.route.as_ref());
        let release = route.map(|route| &*route.release);
        if let Some(release) = release {
            let outcome =
                Outcome { is_error: status >= 500, is_client_abort, bytes_out: self.bytes_out, micros };
            release.record(self.worker.index, &outcome);
        }
        let mut log = self.worker.log.borrow_mut();
        if log.is_on() {
            let bytes = |value: &Option<HeaderValue>| {
                value.as_ref().map_or(Vec::new(), |value| value.as_bytes().to_vec())
            };
            let backend = claim.as_ref().map_or(String::new(), |claim| {
                let backend = &claim.backend;
                let address = backend.address.to_string();
                if backend.id == address { address } else { format!("{}@{address}", backend.id) }
            });
            log.push(&Line {
                peer: self.record.peer_text.to_str().unwrap_or_default(),
                at: self.worker.wall.get(),
                method: self.method.as_str(),
                target: self.uri.path_and_query().map_or(self.uri.path(), |target| target.as_str()),
                version: if self.version == Version::HTTP_10 { "HTTP/1.0" } else { "HTTP/1.1" },
                status,
                bytes_out: self.bytes_out,
                bytes_in: self.record.bytes_in.get(),
                referer: &bytes(&self.referer),
                user_agent: &bytes(&self.user_agent),
                host: &bytes(&self.host),
                total_us: micros,
                upstream_us: self.upstream_us,
                connect_us: self.connect_us,
                app: release.map_or("", |release| &release.app),
                service: release.map_or("", |release| &release.service),
                release: release.map_or(0, |release| release.release),
                backend: &backend,
                attempts: self.attempts,
                term,
                id: self.id.as_bytes(),
            });
        }
        // Between requests, unless the next head is partly there already.
        let settings = &self.worker.settings;
        let (phase, ticks) = match self.record.framer.borrow().is_in_head() {
            true => (Phase::Head, settings.header),
            false => (Phase::Idle, settings.keep_alive),
        };
        self.record.enter(phase, self.worker.deadline(ticks));
        // Counted out last: who sees 0 in flight also sees the request counted.
        drop(claim);
    }
}

fn micros(duration: std::time::Duration) -> u64 {
    duration.as_micros() as u64
}
