//! How a host gets its next certificate: it asks with the present one, whose holder it thereby is.
//!
//! Always true: the certificate that a host asked with stays good, since the host may be killed before it has stored the
//! new one; so a host has two at most. The new one is on disk before it is answered.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::{Extension, Json};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use wharf_base::Digest;
use wharf_http::Peer;
use wharf_http::pki::{Signed, fingerprint};

use super::fleet::{Fleet, Identity};
use crate::Error;
use crate::protocol::{Life, RenewAnswer, RenewRequest};

/// `POST /agent/v1/certificate`.
pub(super) async fn renew(
    State(fleet): State<Arc<Fleet>>,
    Extension(identity): Extension<Identity>,
    Extension(peer): Extension<Peer>,
    body: Bytes,
) -> Result<Json<RenewAnswer>, Error> {
    let request: RenewRequest = super::routes::parse("the request", &body)?;
    let asked_with = peer.certificate.ok_or_else(|| {
        Error::Invalid(format!("host `{}` has no certificate, and needs none", identity.name))
    })?;
    Ok(Json(fleet.renew(&identity, fingerprint(&asked_with), &request.csr).await?))
}

impl Fleet {
    async fn renew(&self, identity: &Identity, asked_with: Digest, csr: &str) -> Result<RenewAnswer, Error> {
        let _changing = self.changing.lock().await;
        let is_known = self.state().known(identity).is_some_and(|host| host.record.has(&asked_with));
        if !is_known {
            return Err(Error::UnknownHost);
        }
        let (signed, fingerprint) = self.sign(csr, &identity.id)?;
        let both = (fingerprint.clone(), asked_with.clone());
        self.store.set_certificate(identity.id.clone(), both, signed.expires).await?;
        self.state().certify(identity, fingerprint, asked_with, signed.expires);
        tracing::info!(host = %identity.name, expires = %signed.expires, "the certificate of a host was renewed");
        let life = Life { issued: signed.issued, expires: signed.expires };
        Ok(RenewAnswer { certificate: signed.certificate, life })
    }

    /// A certificate for the host with this id.
    pub(super) fn sign(&self, csr: &str, id: &str) -> Result<(Signed, Digest), Error> {
        let signed = self.deps.authority.sign_client(csr, id).map_err(|error| {
            Error::Invalid(format!("the certificate signing request cannot be signed: {error}"))
        })?;
        let der = CertificateDer::from_pem_slice(signed.certificate.as_bytes())
            .map_err(|error| Error::Invalid(format!("the certificate cannot be read: {error}")))?;
        Ok((signed, fingerprint(&der)))
    }
}
