//! One request on its way: checked, routed, sent, sent again where that is safe, answered.
//!
//! When a request is sent again:
//! - no connection could be made: always, to another target, because nothing was sent;
//! - the target's connection was an idle one that it had closed: once on a new connection, if nothing was sent or the
//!   request may be repeated;
//! - the connection broke before the response's head: to another target, only idempotent requests without a body,
//!   within `limits.attempts` and the budget of the release (`limits.retry_percent`);
//! - the target was found to be down while it had not answered: GET, HEAD and OPTIONS without a body move to another
//!   one at once. The health check bounds how often, so this needs no budget.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::{Body, Incoming};

use crate::body::{RequestBody, ResponseBody};
use crate::exchange::Exchange;
use crate::failure::Failure;
use crate::headers;
use crate::pool::{self, Sender};
use crate::record::{BodyFault, Record, Verdict};
use crate::shared::NoClaim;
use crate::tunnel::Tunnel;
use crate::worker::Worker;

static CLOSE: HeaderValue = HeaderValue::from_static("close");
static CHUNKED: HeaderValue = HeaderValue::from_static("chunked");
static UPGRADE: HeaderValue = HeaderValue::from_static("upgrade");
static TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
static NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
static HTTP: HeaderValue = HeaderValue::from_static("http");

/// LIMIT: connects that fail for one request. Each costs up to `timeouts.connect`.
const CONNECTS_MAX: usize = 8;

/// Answers one request. The body of the answer logs and counts it when it ends.
///
/// The exchange begins here and not in the future: a client that sends a request and its FIN at once makes hyper drop
/// the future before it was polled, and that request is to be logged, too.
pub(crate) fn serve(
    worker: Rc<Worker>,
    record: Rc<Record>,
    request: Request<Incoming>,
) -> impl Future<Output = Result<Response<ResponseBody>, Infallible>> {
    let index = record.requests.get();
    record.requests.set(index + 1);
    let exchange = Exchange::begin(Rc::clone(&worker), Rc::clone(&record), &request);
    let violation = record.framer.borrow().violation(index);
    async move {
        if let Some(violation) = violation {
            return Ok(refuse(exchange, Failure::Smuggling(violation)));
        }
        Ok(match prepare(&worker, &record, &exchange, request) {
            Ok(outgoing) => {
                let forward =
                    Forward { worker, record, exchange, outgoing, tried: Vec::new(), sent: 0, last: None };
                forward.run().await
            }
            Err(failure) => refuse(exchange, failure),
        })
    }
}

/// A request in the form in which it goes to a target.
struct Outgoing {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Option<RequestBody>,
    /// Host by which to route.
    host: HeaderValue,
    wants_upgrade: bool,
    /// Nothing is lost by sending it twice, and there is no body that would be used up.
    is_repeatable: bool,
    /// It only reads: may be given up and sent elsewhere while a target works on it.
    is_movable: bool,
}

/// Checks the request and rewrites its head.
fn prepare(
    worker: &Rc<Worker>,
    record: &Rc<Record>,
    exchange: &Exchange,
    request: Request<Incoming>,
) -> Result<Outgoing, Failure> {
    let (mut parts, body) = request.into_parts();
    if parts.method == Method::CONNECT {
        return Err(Failure::Connect);
    }
    let host = host_of(&parts.uri, &parts.headers, parts.version, record)?;
    if body.size_hint().lower() > worker.settings.body_bytes {
        return Err(Failure::BodyTooLarge);
    }
    let headers = &mut parts.headers;
    let upgrade = headers::strip_hop_by_hop(headers)
        .filter(|upgrade| headers::may_upgrade(&parts.method, parts.version, upgrade));
    match &upgrade {
        Some(upgrade) => {
            headers.insert(header::UPGRADE, upgrade.clone());
            headers.insert(header::CONNECTION, UPGRADE.clone());
        }
        None => headers::strip_upgrade_settings(headers),
    }
    // hyper has answered it, or will once the target takes the body.
    headers.remove(header::EXPECT);
    headers.insert(header::HOST, host.clone());
    headers::forward(headers, &record.peer_text, record.is_trusted, &HTTP, &host);
    headers.insert(headers::X_REQUEST_ID.clone(), exchange.id.clone());
    let has_body = !body.is_end_stream();
    if has_body && body.size_hint().exact().is_none() {
        // hyper sends no body with a GET of unknown length unless it is told to.
        headers.insert(header::TRANSFER_ENCODING, CHUNKED.clone());
    }
    let body = match has_body {
        true => RequestBody::Stream { incoming: body, record: Rc::clone(record), worker: Rc::clone(worker) },
        false => RequestBody::Empty,
    };
    Ok(Outgoing {
        is_repeatable: !has_body && parts.method.is_idempotent(),
        is_movable: !has_body && parts.method.is_safe() && upgrade.is_none(),
        wants_upgrade: upgrade.is_some(),
        method: parts.method,
        uri: origin_form(parts.uri),
        headers: parts.headers,
        body: Some(body),
        host,
    })
}

/// The host of a request. An absolute URI outranks the header (RFC 9112, 3.2.2).
fn host_of(
    uri: &Uri,
    headers: &HeaderMap,
    version: Version,
    record: &Record,
) -> Result<HeaderValue, Failure> {
    let host = match uri.authority() {
        Some(authority) => HeaderValue::from_str(authority.as_str()).map_err(|_| Failure::BadHost)?,
        None => match headers.get(header::HOST) {
            Some(host) => host.clone(),
            None if version == Version::HTTP_11 => return Err(Failure::BadHost),
            // HTTP/1.0 may have none; targets are always spoken to in 1.1, which needs one.
            None => record.local_text.clone(),
        },
    };
    let is_good = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~[]:%!$&'()*+,;=".contains(byte);
    if host.as_bytes().iter().all(is_good) { Ok(host) } else { Err(Failure::BadHost) }
}

fn origin_form(uri: Uri) -> Uri {
    if uri.authority().is_none() {
        return uri;
    }
    uri.path_and_query().cloned().map_or_else(|| Uri::from_static("/"), Uri::from)
}

/// The tries of one request.
struct Forward {
    worker: Rc<Worker>,
    record: Rc<Record>,
    exchange: Box<Exchange>,
    outgoing: Outgoing,
    /// Targets that are not to be tried again.
    tried: Vec<u64>,
    /// How often it was handed to a connection.
    sent: u32,
    /// What went wrong last: that is what the client is told if nobody is left.
    last: Option<Failure>,
}

/// How a try ended.
enum Try {
    Answer(Response<Incoming>, Sender),
    /// The target is out of question for this request; perhaps another one.
    Next(Failure),
    /// The same target, on a new connection.
    Again,
    Over(Failure),
}

impl Forward {
    async fn run(mut self) -> Response<ResponseBody> {
        let path = self.outgoing.uri.path().to_owned();
        let mut needs_new = false;
        loop {
            let host = self.outgoing.host.to_str().unwrap_or_default();
            let claim = match self.worker.shared.claim(self.worker.index, host, &path, &self.tried) {
                Ok(claim) => claim,
                Err(NoClaim::NoRoute) => {
                    self.worker.shared.counts.no_route.fetch_add(1, Ordering::Relaxed);
                    let failure = self.last.unwrap_or(Failure::NoRoute);
                    return refuse(self.exchange, failure);
                }
                Err(NoClaim::NoTarget(route)) => {
                    self.exchange.route = Some(route);
                    let failure = self.last.unwrap_or(Failure::NoTarget);
                    return refuse(self.exchange, failure);
                }
            };
            let (release, uid) = (claim.route.clone(), claim.backend.uid);
            if self.exchange.attempts == 0 {
                let settings = &self.worker.settings;
                release.release.earn_retry(self.worker.index, settings.retry_percent);
                if let Some(timeout) = release.timeout {
                    let ticks = crate::worker::ticks(timeout);
                    self.record.response_ticks.set(ticks);
                    self.record.deadline.set(self.worker.deadline(ticks));
                }
            }
            self.record.set_claim(claim, self.outgoing.is_movable);
            self.exchange.route = Some(release);
            self.exchange.begin_try();
            match self.attempt(needs_new).await {
                Try::Answer(response, sender) => return self.answer(response, sender),
                Try::Over(failure) => return refuse(self.exchange, failure),
                Try::Again => needs_new = true,
                Try::Next(failure) => {
                    needs_new = false;
                    self.last = Some(failure);
                    self.tried.push(uid);
                    if self.tried.len() > CONNECTS_MAX {
                        return refuse(self.exchange, failure);
                    }
                }
            }
            // Not counted in anywhere between two tries.
            self.record.claim.take();
            self.worker.shared.counts.retries.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// One try at the claimed target.
    async fn attempt(&mut self, needs_new: bool) -> Try {
        if self.record.take_request_verdict() == Verdict::Timeout {
            return Try::Over(Failure::AnswerTimeout);
        }
        let pooled = if needs_new { None } else { self.pooled().await };
        let is_reused = pooled.is_some();
        let mut sender = match pooled {
            Some(sender) => sender,
            None => match self.connect().await {
                Some(sender) => sender,
                None => return Try::Next(Failure::ConnectFailed),
            },
        };
        let request = self.request();
        self.sent += 1;
        let sending = sender.try_send_request(request);
        let mut sending = pin!(sending);
        let record = &self.record;
        let result = poll_fn(|context| match sending.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(Ok(result)),
            Poll::Pending => match record.take_request_verdict() {
                Verdict::None => Poll::Pending,
                verdict => Poll::Ready(Err(verdict)),
            },
        })
        .await;
        match result {
            Ok(Ok(response)) => Try::Answer(response, sender),
            Ok(Err(mut error)) => {
                let unsent = error.take_message();
                let is_unsent = unsent.is_some();
                if let Some(request) = unsent {
                    let (parts, body) = request.into_parts();
                    self.outgoing.headers = parts.headers;
                    self.outgoing.body = Some(body);
                }
                self.after_break(is_reused, is_unsent, &error.into_error())
            }
            Err(Verdict::Move) => {
                self.worker.shared.counts.moved.fetch_add(1, Ordering::Relaxed);
                Try::Next(Failure::NoAnswer)
            }
            Err(_) if self.record.waits_for_client.get() => Try::Over(Failure::BodyTimeout),
            Err(_) => Try::Over(Failure::AnswerTimeout),
        }
    }

    /// An idle connection to the claimed target.
    async fn pooled(&self) -> Option<Sender> {
        let take = || {
            let claim = self.record.claim.borrow();
            self.worker.pool.borrow_mut().take(&claim.as_ref()?.backend)
        };
        let sender = take()?;
        if self.outgoing.is_repeatable {
            return Some(sender);
        }
        // What can't be sent twice should not meet a connection whose FIN is here but not yet read: one turn of the
        // scheduler polls the sockets, at the price of one epoll_wait.
        tokio::task::yield_now().await;
        if sender.is_closed() { None } else { Some(sender) }
    }

    async fn connect(&mut self) -> Option<Sender> {
        let backend = self.record.claim.borrow().as_ref().map(|claim| claim.backend.clone())?;
        match pool::connect(&self.worker, &backend).await {
            Ok((sender, micros)) => {
                backend.connected();
                self.exchange.connect_us = Some(micros);
                Some(sender)
            }
            Err(error) => {
                tracing::debug!(target = %backend.id, address = %backend.address, %error, "cannot connect");
                backend.connect_failed();
                None
            }
        }
    }

    /// The request to send. One that may have to be repeated is copied; values are shared, not copied.
    fn request(&mut self) -> Request<RequestBody> {
        let outgoing = &mut self.outgoing;
        let (headers, body) = match outgoing.body.take() {
            Some(body) if !outgoing.is_repeatable => (std::mem::take(&mut outgoing.headers), body),
            _ => (outgoing.headers.clone(), RequestBody::Empty),
        };
        let mut request = Request::new(body);
        *request.method_mut() = outgoing.method.clone();
        *request.uri_mut() = outgoing.uri.clone();
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers;
        request
    }

    /// The connection broke before a response's head.
    fn after_break(&self, is_reused: bool, is_unsent: bool, error: &hyper::Error) -> Try {
        match self.record.body_fault.get() {
            BodyFault::Malformed => return Try::Over(Failure::BadBody),
            BodyFault::TooLarge => return Try::Over(Failure::BodyTooLarge),
            BodyFault::None => {}
        }
        if error.is_parse() {
            return Try::Over(Failure::BadAnswer);
        }
        let may_repeat = is_unsent || self.outgoing.is_repeatable;
        if !may_repeat {
            return Try::Over(Failure::NoAnswer);
        }
        if is_reused {
            return Try::Again;
        }
        let claim = self.record.claim.borrow();
        let Some(claim) = &*claim else { return Try::Over(Failure::NoAnswer) };
        if self.sent >= self.worker.settings.attempts {
            return Try::Over(Failure::NoAnswer);
        }
        if !claim.route.release.spend_retry(self.worker.index) {
            self.worker.shared.counts.retries_over_budget.fetch_add(1, Ordering::Relaxed);
            return Try::Over(Failure::NoAnswer);
        }
        Try::Next(Failure::NoAnswer)
    }

    /// Passes a target's answer on.
    fn answer(mut self, mut response: Response<Incoming>, sender: Sender) -> Response<ResponseBody> {
        let status = response.status();
        let upgrade = headers::strip_hop_by_hop(response.headers_mut());
        *response.version_mut() = Version::HTTP_11;
        if let Some(claim) = &*self.record.claim.borrow() {
            claim.backend.counts.requests.fetch_add(1, Ordering::Relaxed);
        }
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return match upgrade.filter(|_| self.outgoing.wants_upgrade) {
                Some(upgrade) => self.switch(response, upgrade),
                None => refuse(self.exchange, Failure::BadAnswer),
            };
        }
        self.exchange.answered(status);
        if self.worker.is_stopping.get() {
            response.headers_mut().insert(header::CONNECTION, CLOSE.clone());
        }
        response.map(|incoming| ResponseBody::target(incoming, sender, self.exchange))
    }

    /// Both sides switch protocols. hyper ends the client's connection once the 101 is sent; the task goes on from
    /// there with what is left in the record.
    fn switch(mut self, response: Response<Incoming>, upgrade: HeaderValue) -> Response<ResponseBody> {
        let (parts, body) = response.into_parts();
        let mut response = Response::from_parts(parts, body);
        let upstream = hyper::upgrade::on(&mut response);
        self.exchange.answered(StatusCode::SWITCHING_PROTOCOLS);
        let headers = response.headers_mut();
        headers.insert(header::UPGRADE, upgrade);
        headers.insert(header::CONNECTION, UPGRADE.clone());
        self.record.is_tunnel.set(true);
        self.record.tunnel.replace(Some(Tunnel { upstream, exchange: self.exchange }));
        response.map(|_| ResponseBody::none())
    }
}

/// An answer of ours, as plain text that names the side at fault.
fn refuse(mut exchange: Box<Exchange>, failure: Failure) -> Response<ResponseBody> {
    let status = failure.status();
    exchange.failed(status, failure.term());
    let id = exchange.id.clone();
    let text = format!(
        "{} {}\n{}\nside: {}\nrequest: {}\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        failure.text(),
        failure.side().as_str(),
        id.to_str().unwrap_or_default(),
    );
    let closes = failure.closes() || exchange.worker.is_stopping.get();
    if failure.closes() {
        exchange.record.lingers.set(true);
    }
    let mut response = Response::new(ResponseBody::text(text, exchange));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, TEXT.clone());
    headers.insert(header::CACHE_CONTROL, NO_STORE.clone());
    headers.insert(headers::X_REQUEST_ID.clone(), id);
    if closes {
        headers.insert(header::CONNECTION, CLOSE.clone());
    }
    response
}
