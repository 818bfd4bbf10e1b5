//! How a client trusts a server: by the authority's certificate, or by a pin of it.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{DigitallySignedStruct, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use wharf_base::{Clock, Digest, SystemClock};

use super::authority::fingerprint;
use super::time::ClockTime;
use crate::Error;

/// Whom to believe.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Servers whose certificate this authority (PEM) has signed.
    Authority(String),
    /// Servers that show a chain with an authority of this SHA-256, and whose certificate it has signed.
    Pinned(Digest),
}

/// A certificate and its key, both PEM, that the client shows.
#[derive(Clone)]
pub struct Identity {
    /// Certificate.
    pub certificate_pem: String,
    /// Key.
    pub key_pem: String,
}

/// Makes a TLS configuration for a client.
pub fn client_config(trust: &Trust, identity: Option<&Identity>) -> Result<Arc<rustls::ClientConfig>, Error> {
    client_config_at(trust, identity, Arc::new(SystemClock))
}

/// The same, with a clock by which the server's certificate is judged.
pub fn client_config_at(
    trust: &Trust,
    identity: Option<&Identity>,
    clock: Arc<dyn Clock>,
) -> Result<Arc<rustls::ClientConfig>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let time = Arc::new(ClockTime(clock));
    let builder = rustls::ClientConfig::builder_with_details(Arc::clone(&provider), time)
        .with_safe_default_protocol_versions()
        .map_err(error)?;
    let builder = match trust {
        Trust::Authority(pem) => {
            let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(error)?;
            builder.with_root_certificates(roots(&certificate)?)
        }
        Trust::Pinned(pin) => {
            let verifier = PinVerifier { pin: pin.clone(), provider };
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let certificate =
                CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).map_err(error)?;
            let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).map_err(error)?;
            builder.with_client_auth_cert(vec![certificate], key).map_err(error)?
        }
    };
    Ok(Arc::new(config))
}

fn roots(certificate: &CertificateDer<'_>) -> Result<rustls::RootCertStore, Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.clone().into_owned()).map_err(error)?;
    Ok(roots)
}

fn error(error: impl std::fmt::Display) -> Error {
    Error::Certificate { path: None, reason: error.to_string() }
}

/// Believes the authority in the shown chain that has the pinned digest, and then checks the server's certificate
/// against it as usual (name, validity, signature). "Custom" here never means "less".
#[derive(Debug)]
struct PinVerifier {
    pin: Digest,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let authority =
            intermediates.iter().find(|certificate| fingerprint(certificate) == self.pin).ok_or_else(
                || rustls::Error::General("the server's CA is not the one that the token pins".to_owned()),
            )?;
        let general = |error: String| rustls::Error::General(error);
        let roots = Arc::new(roots(authority).map_err(|error| general(error.to_string()))?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&self.provider))
            .build()
            .map_err(|error| general(error.to_string()))?;
        verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::routing::get;
    use axum::{Extension, Router};
    use wharf_base::Tasks;

    use super::*;
    use crate::pki::{Authority, ClientAuth, new_request};
    use crate::{Client, Endpoint, Peer, ServerOptions, bind, serve};

    async fn server(authority: &Authority, clients: ClientAuth, tasks: &Tasks) -> String {
        let listener = bind("test", &["127.0.0.1:0".parse().unwrap()]).await.unwrap().remove(0);
        let port = listener.local_addr().unwrap().port();
        let tls = authority.server_config(&["127.0.0.1".to_owned()], clients).unwrap();
        let answer = |Extension(peer): Extension<Peer>| async move {
            peer.certificate.map_or("none".to_owned(), |der| fingerprint(&der).to_string())
        };
        let router = Router::new().route("/", get(answer));
        serve("test", listener, Some(tls), router, ServerOptions::default(), tasks);
        format!("https://127.0.0.1:{port}")
    }

    async fn get_root(url: &str, trust: &Trust, identity: Option<&Identity>) -> Result<String, Error> {
        let config = client_config(trust, identity)?;
        Client::new(Endpoint::parse(url, Some(config))?).get_text("/").await
    }

    #[tokio::test]
    async fn trust_works_by_authority_and_by_pin_and_nothing_else_passes() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let authority = Authority::load_or_create(one.path()).unwrap();
        let other = Authority::load_or_create(two.path()).unwrap();
        let again = Authority::load_or_create(one.path()).unwrap();
        assert_eq!(again.fingerprint(), authority.fingerprint(), "the authority outlives a restart");
        let tasks = Tasks::new();
        let url = server(&authority, ClientAuth::None, &tasks).await;
        for trust in
            [Trust::Authority(authority.certificate_pem().to_owned()), Trust::Pinned(authority.fingerprint())]
        {
            assert_eq!(get_root(&url, &trust, None).await.unwrap(), "none");
        }
        for trust in
            [Trust::Authority(other.certificate_pem().to_owned()), Trust::Pinned(other.fingerprint())]
        {
            let error = get_root(&url, &trust, None).await.unwrap_err();
            assert!(matches!(error, Error::Tls { .. }), "{error}");
        }
        tasks.stop(Duration::from_secs(5)).await;
    }

    #[tokio::test]
    async fn a_client_certificate_of_the_authority_is_needed_and_seen() {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::load_or_create(directory.path()).unwrap();
        let tasks = Tasks::new();
        let url = server(&authority, ClientAuth::Required, &tasks).await;
        let trust = Trust::Pinned(authority.fingerprint());
        assert!(get_root(&url, &trust, None).await.is_err(), "no certificate, no answer");
        let (key_pem, request) = new_request("ignored").unwrap();
        let certificate_pem = authority.sign_client(&request, "host-1").unwrap().certificate;
        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes()).unwrap();
        let identity = Identity { certificate_pem, key_pem };
        assert_eq!(get_root(&url, &trust, Some(&identity)).await.unwrap(), fingerprint(&der).to_string());
        tasks.stop(Duration::from_secs(5)).await;
    }
}
