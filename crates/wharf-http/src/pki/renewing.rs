//! The certificate that a listener shows: a new one when two thirds of its life are over.
//!
//! It is looked at with each handshake, so no task is needed, and a machine that slept shows a valid one at once.
//! Connections that stand are not touched.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use wharf_base::UnixMillis;

use super::Authority;
use crate::Error;

pub(super) struct Renewing {
    authority: Authority,
    names: Vec<String>,
    current: Mutex<Current>,
}

struct Current {
    key: Arc<CertifiedKey>,
    issued: UnixMillis,
}

impl Renewing {
    pub(super) fn new(authority: Authority, names: Vec<String>) -> Result<Renewing, Error> {
        let (key, issued) = authority.server_key(&names)?;
        Ok(Renewing { authority, names, current: Mutex::new(Current { key: Arc::new(key), issued }) })
    }

    fn key(&self) -> Arc<CertifiedKey> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if self.authority.is_due(current.issued) {
            match self.authority.server_key(&self.names) {
                Ok((key, issued)) => {
                    tracing::info!(names = ?self.names, "the certificate of a listener was renewed");
                    *current = Current { key: Arc::new(key), issued };
                }
                // The one that we have is valid for another third of its life.
                Err(error) => tracing::error!(%error, "the certificate of a listener can't be renewed"),
            }
        }
        Arc::clone(&current.key)
    }
}

impl fmt::Debug for Renewing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewing").field("names", &self.names).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Renewing {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.key())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wharf_base::{Clock as _, ManualClock, SystemClock};

    use super::*;

    #[test]
    fn a_listener_shows_a_new_certificate_after_two_thirds_of_its_life() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(SystemClock.now()));
        let authority = Authority::load_or_create(directory.path()).unwrap();
        let authority = authority.with(Duration::from_secs(90), Arc::clone(&clock) as _);
        let renewing = Renewing::new(authority, vec!["localhost".to_owned()]).unwrap();
        let shown = || renewing.key().cert[0].clone();
        let first = shown();
        clock.advance(Duration::from_secs(59));
        assert_eq!(shown(), first);
        clock.advance(Duration::from_secs(1));
        let second = shown();
        assert_ne!(second, first);
        clock.advance(Duration::from_secs(600));
        assert!(shown() != second && renewing.key().cert[1] == renewing.key().cert[1].clone());
    }
}
