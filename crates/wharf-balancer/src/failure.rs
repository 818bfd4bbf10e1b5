//! What can go wrong with one request: whose fault it is, what the client is told, what the log says.

use http::StatusCode;

use crate::framing::Violation;

/// Why a request got an answer of ours instead of a target's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Framing that two programs may read differently.
    Smuggling(Violation),
    /// HTTP/1.1 without Host, or a Host that is none.
    BadHost,
    /// CONNECT: this is no forward proxy.
    Connect,
    /// The body is longer than `limits.body_bytes`.
    BodyTooLarge,
    /// The body's chunks are malformed.
    BadBody,
    /// The client stopped sending its body.
    BodyTimeout,
    /// No route matches.
    NoRoute,
    /// The route has no target, or all were tried.
    NoTarget,
    /// No connection to any target.
    ConnectFailed,
    /// The target closed or reset before it answered.
    NoAnswer,
    /// The target answered something that is not HTTP.
    BadAnswer,
    /// The target did not answer in time.
    AnswerTimeout,
}

/// Who is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Balancer,
    Backend,
}

impl Side {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Side::Client => "client",
            Side::Balancer => "balancer",
            Side::Backend => "backend",
        }
    }
}

impl Failure {
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Failure::Smuggling(_) | Failure::BadHost | Failure::BadBody => StatusCode::BAD_REQUEST,
            Failure::Connect => StatusCode::METHOD_NOT_ALLOWED,
            Failure::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Failure::BodyTimeout => StatusCode::REQUEST_TIMEOUT,
            Failure::NoRoute => StatusCode::NOT_FOUND,
            Failure::NoTarget => StatusCode::SERVICE_UNAVAILABLE,
            Failure::ConnectFailed | Failure::NoAnswer | Failure::BadAnswer => StatusCode::BAD_GATEWAY,
            Failure::AnswerTimeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    pub(crate) fn side(self) -> Side {
        match self {
            Failure::Smuggling(_)
            | Failure::BadHost
            | Failure::Connect
            | Failure::BodyTooLarge
            | Failure::BadBody
            | Failure::BodyTimeout => Side::Client,
            Failure::NoRoute => Side::Balancer,
            Failure::NoTarget
            | Failure::ConnectFailed
            | Failure::NoAnswer
            | Failure::BadAnswer
            | Failure::AnswerTimeout => Side::Backend,
        }
    }

    pub(crate) fn text(self) -> &'static str {
        match self {
            Failure::Smuggling(violation) => violation.text(),
            Failure::BadHost => "the request has no valid Host header",
            Failure::Connect => "CONNECT is not supported here",
            Failure::BodyTooLarge => "the request's body is longer than this balancer takes",
            Failure::BadBody => "the request's body is malformed",
            Failure::BodyTimeout => "the request's body did not arrive in time",
            Failure::NoRoute => "no application is served under this host and path",
            Failure::NoTarget => "no healthy backend for this request",
            Failure::ConnectFailed => "no backend could be connected to",
            Failure::NoAnswer => "the backend closed the connection before it answered",
            Failure::BadAnswer => "the backend did not answer with valid HTTP",
            Failure::AnswerTimeout => "the backend did not answer in time",
        }
    }

    /// The two letters that HAProxy's users know: who ended it, and in which phase.
    pub(crate) fn term(self) -> Term {
        match self {
            Failure::Smuggling(_) | Failure::BadHost | Failure::Connect | Failure::BodyTooLarge => *b"PR",
            Failure::BadBody => *b"CD",
            Failure::BodyTimeout => TERM_CLIENT_TIMEOUT,
            Failure::NoRoute => *b"LR",
            Failure::NoTarget | Failure::ConnectFailed => *b"SC",
            Failure::NoAnswer => *b"SH",
            Failure::BadAnswer => *b"PH",
            Failure::AnswerTimeout => *b"sH",
        }
    }

    /// The client's connection can't be used any more.
    pub(crate) fn closes(self) -> bool {
        self.side() == Side::Client
    }
}

/// Termination code in the access log.
pub(crate) type Term = [u8; 2];

pub(crate) const TERM_FINE: Term = *b"--";
/// The client went before the response's head.
pub(crate) const TERM_CLIENT_HEAD: Term = *b"CH";
/// The client went while the body was sent.
pub(crate) const TERM_CLIENT_DATA: Term = *b"CD";
/// The client took or sent nothing for too long.
pub(crate) const TERM_CLIENT_TIMEOUT: Term = *b"cD";
/// The head of a request was not complete in time, or can't be read.
pub(crate) const TERM_HEAD_TIMEOUT: Term = *b"cR";
pub(crate) const TERM_HEAD_BAD: Term = *b"PR";
/// The target broke off its body.
pub(crate) const TERM_SERVER_DATA: Term = *b"SD";
/// The target sent no more of its body for too long.
pub(crate) const TERM_SERVER_TIMEOUT: Term = *b"sD";
/// The balancer stopped.
pub(crate) const TERM_KILLED: Term = *b"KD";
