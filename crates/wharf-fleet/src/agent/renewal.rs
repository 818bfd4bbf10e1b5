//! The host's certificate, and how it gets the next one.
//!
//! After about two thirds of its life the agent makes a new key and asks for a certificate on the connection that it
//! has. Key and certificate are on disk, side by side with those before, when `identity.json` names them; killed at any
//! point the agent has one whole pair, and the server takes both. The connection is then made anew beside the one that
//! stands ([`super::link`]), so that the host is not lost for a moment.
//!
//! When that is differs from host to host by a tenth of the life: a thousand that joined in one minute don't come back in
//! one minute.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use wharf_base::{Clock, ErrorCode, UnixMillis};
use wharf_http::pki;

use super::data::{Certificates, Identity};
use super::link::Server;
use crate::Error;
use crate::protocol::{Life, RenewAnswer, RenewRequest};

/// The clock is looked at as often: it may be set, and the machine may have slept.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Bounds of the wait before a renewal that failed is tried again, a hundredth of the certificate's life.
const RETRY_MIN: Duration = Duration::from_millis(500);
const RETRY_MAX: Duration = Duration::from_secs(3_600);

/// The certificate in use and where it lies.
pub(super) struct Renewal {
    data: PathBuf,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    identity: Identity,
    ca: String,
    tls: Arc<rustls::ClientConfig>,
}

impl Renewal {
    pub(super) fn load(identity: Identity, data: PathBuf, clock: Arc<dyn Clock>) -> Result<Renewal, Error> {
        let certificates = identity.certificates(&data)?;
        let tls = certificates.client(Arc::clone(&clock))?;
        let state = Mutex::new(State { identity, ca: certificates.ca, tls });
        Ok(Renewal { data, clock, state })
    }

    /// For connecting with the newest certificate.
    pub(super) fn tls(&self) -> Arc<rustls::ClientConfig> {
        self.state(|state| Arc::clone(&state.tls))
    }

    /// Waits until it is time, and gets the next certificate over `server`; however often it takes.
    pub(super) async fn next(&self, server: &Server) {
        loop {
            let (life, host_id) = self.state(|state| (life(&state.identity), state.identity.host_id.clone()));
            while let Some(wait) = life.and_then(|life| wait(due(life, &host_id), self.clock.now())) {
                tokio::time::sleep(wait.min(LOOK_EVERY)).await;
            }
            match self.renew(server).await {
                Ok(expires) => return tracing::info!(%expires, "this host has a new certificate"),
                Err(error) if error.code() == ErrorCode::NotFound => {
                    tracing::debug!("the server is of a version that renews no certificates");
                }
                Err(error) => tracing::warn!(%error, "this host's certificate can't be renewed now"),
            }
            let length = life.map_or(RETRY_MAX, |life| life.expires.since(life.issued) / 100);
            tokio::time::sleep(length.clamp(RETRY_MIN, RETRY_MAX)).await;
        }
    }

    async fn renew(&self, server: &Server) -> Result<UnixMillis, Error> {
        let (identity, ca) = self.state(|state| (state.identity.clone(), state.ca.clone()));
        let (key, csr) = pki::new_request(identity.name.as_str())?;
        let answer: RenewAnswer = server.ask("/agent/v1/certificate", &RenewRequest { csr }).await?;
        let certificates = Certificates { key, certificate: answer.certificate, ca };
        // A certificate that can't be used would be found out only after a restart.
        let tls = certificates.client(Arc::clone(&self.clock))?;
        let (next, data) = (identity.renewed(answer.life), self.data.clone());
        let stored = next.clone();
        crate::blocking(move || stored.store(&data, &certificates)).await?;
        self.state(|state| {
            state.identity = next;
            state.tls = tls;
        });
        Ok(answer.life.expires)
    }

    /// When the certificate has ended, with the host's name.
    ///
    /// Only for saying why the server refuses: it is the server's clock that counts.
    pub(super) fn expired(&self) -> Option<Error> {
        let now = self.clock.now();
        self.state(|state| {
            let expires = life(&state.identity)?.expires;
            let host = state.identity.name.clone();
            (expires <= now).then_some(Error::CertificateExpired { host, expires })
        })
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// `None` for a certificate from before lifetimes: it is due at once.
fn life(identity: &Identity) -> Option<Life> {
    identity.certificate.as_ref().map(|stored| stored.life)
}

/// When a certificate is to be renewed: after 0.57 to 0.67 of its life.
fn due(life: Life, host_id: &str) -> UnixMillis {
    let hash = blake3::hash(host_id.as_bytes());
    let place = f64::from(u16::from_le_bytes([hash.as_bytes()[0], hash.as_bytes()[1]])) / f64::from(u16::MAX);
    life.issued.plus(life.expires.since(life.issued).mul_f64(2.0 / 3.0 - 0.1 * place))
}

/// How long until `due`; `None` when it has come.
fn wait(due: UnixMillis, now: UnixMillis) -> Option<Duration> {
    let wait = due.since(now);
    (!wait.is_zero()).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_joined_together_renew_one_after_the_other() {
        let day = 86_400_000;
        let life = Life { issued: UnixMillis(0), expires: UnixMillis(90 * day) };
        let mut days = [0; 90];
        for number in 0..1_000 {
            let due = due(life, &format!("{number:032x}"));
            days[usize::try_from(due.0 / day).unwrap()] += 1;
        }
        // From day 51 to day 60.
        assert_eq!(days[51..60].iter().sum::<i32>() + days[60], 1_000, "{days:?}");
        assert!(days.iter().all(|count| *count < 150), "{days:?}");
        assert_eq!(wait(UnixMillis(7), UnixMillis(5)), Some(Duration::from_millis(2)));
        assert_eq!(wait(UnixMillis(5), UnixMillis(5)), None);
    }
}
