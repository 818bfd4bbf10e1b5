//! The authority: made once, kept on disk, signs servers and hosts.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};
use wharf_base::{Clock, Digest, SystemClock, UnixMillis};

use super::renewing::Renewing;
use super::time::ClockTime;
use crate::Error;

/// How long certificates of servers and hosts are valid where nothing else is said.
pub const LIFETIME: Duration = Duration::from_secs(90 * 86_400);
/// Certificates are valid from so long before they were made: the clock of whoever checks may be behind.
const BACKDATED: Duration = Duration::from_secs(86_400);

/// A certificate authority with its key; clones share it.
#[derive(Clone)]
pub struct Authority {
    signer: Arc<Signer>,
    lifetime: Duration,
    clock: Arc<dyn Clock>,
}

struct Signer {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
}

/// A certificate that was signed just now.
#[derive(Clone, Debug)]
pub struct Signed {
    /// PEM.
    pub certificate: String,
    /// When.
    pub issued: UnixMillis,
    /// When it is no longer valid.
    pub expires: UnixMillis,
}

/// Whether clients must show a certificate of the authority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// They need none.
    None,
    /// A handshake without one fails.
    Required,
}

/// SHA-256 of a certificate's DER.
pub fn fingerprint(certificate: &[u8]) -> Digest {
    Digest::from_sha256(Sha256::digest(certificate).into())
}

/// Makes a key and a signing request for it: (key PEM, request PEM).
pub fn new_request(common_name: &str) -> Result<(String, String), Error> {
    let key = KeyPair::generate().map_err(certificate_error)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let request =
        params.serialize_request(&key).and_then(|request| request.pem()).map_err(certificate_error)?;
    Ok((key.serialize_pem(), request))
}

impl Authority {
    /// Reads the authority in `directory`, or makes it there. The certificate is written last, so a crash in between
    /// leaves a key without a certificate, which the next start replaces.
    pub fn load_or_create(directory: &Path) -> Result<Authority, Error> {
        let (key_path, certificate_path) = (directory.join("ca.key"), directory.join("ca.pem"));
        if !certificate_path.exists() {
            create(directory, &key_path, &certificate_path)?;
        }
        let read = |path: &Path| std::fs::read_to_string(path).map_err(|error| file_error(path, &error));
        let pem = read(&certificate_path)?;
        let key = KeyPair::from_pem(&read(&key_path)?).map_err(|error| file_error(&key_path, &error))?;
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes())
            .map_err(|error| file_error(&certificate_path, &error))?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key)
            .map_err(|error| file_error(&certificate_path, &error))?;
        let signer = Arc::new(Signer { issuer, certificate, pem });
        Ok(Authority { signer, lifetime: LIFETIME, clock: Arc::new(SystemClock) })
    }

    /// The same authority, whose certificates are valid for so long by this clock.
    #[must_use]
    pub fn with(self, lifetime: Duration, clock: Arc<dyn Clock>) -> Authority {
        Authority { lifetime, clock, ..self }
    }

    /// The authority's certificate.
    pub fn certificate_pem(&self) -> &str {
        &self.signer.pem
    }

    /// SHA-256 of the authority's certificate, as join tokens pin it.
    pub fn fingerprint(&self) -> Digest {
        fingerprint(&self.signer.certificate)
    }

    /// A TLS configuration for a listener that is reached under `names` (DNS names and IP addresses). The chain that
    /// it shows ends with the authority itself, so that a client with a pin can find it. The key lives in memory only;
    /// key and certificate are replaced when two thirds of the certificate's life are over, without a restart.
    pub fn server_config(
        &self,
        names: &[String],
        clients: ClientAuth,
    ) -> Result<Arc<rustls::ServerConfig>, Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let time = Arc::new(ClockTime(Arc::clone(&self.clock)));
        let builder = rustls::ServerConfig::builder_with_details(Arc::clone(&provider), time)
            .with_safe_default_protocol_versions()
            .map_err(certificate_error)?;
        let builder = match clients {
            ClientAuth::None => builder.with_no_client_auth(),
            ClientAuth::Required => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(self.signer.certificate.clone()).map_err(certificate_error)?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(certificate_error)?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let resolver = Renewing::new(self.clone(), names.to_vec())?;
        let mut config = builder.with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// A key and a certificate for a server with these names.
    pub(super) fn server_key(&self, names: &[String]) -> Result<(CertifiedKey, UnixMillis), Error> {
        let key = KeyPair::generate().map_err(certificate_error)?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(certificate_error)?;
        let common_name = names.first().map_or("wharf", String::as_str);
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let issued = self.date(&mut params).0;
        let certificate = params.signed_by(&key, &self.signer.issuer).map_err(certificate_error)?;
        let chain = vec![certificate.der().clone(), self.signer.certificate.clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = rustls::crypto::ring::sign::any_supported_type(&key).map_err(certificate_error)?;
        Ok((CertifiedKey::new(chain, key), issued))
    }

    /// When a certificate that was signed at `issued` is to be replaced.
    pub(super) fn is_due(&self, issued: UnixMillis) -> bool {
        self.clock.now() >= issued.plus(self.lifetime * 2 / 3)
    }

    /// Sets from when and until when it is valid: (now, the end).
    fn date(&self, params: &mut CertificateParams) -> (UnixMillis, UnixMillis) {
        let now = self.clock.now();
        // Certificates know whole seconds.
        let seconds = u64::try_from(now.0 / 1_000).unwrap_or(0);
        let moment = |seconds: u64| rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
        let end = seconds.saturating_add(self.lifetime.as_secs());
        params.not_before = moment(seconds.saturating_sub(BACKDATED.as_secs()));
        params.not_after = moment(end);
        (now, UnixMillis(i64::try_from(end.saturating_mul(1_000)).unwrap_or(i64::MAX)))
    }

    /// Signs a request as a client certificate with `common_name`, whatever name the request asks for.
    pub fn sign_client(&self, request_pem: &str, common_name: &str) -> Result<Signed, Error> {
        let mut request =
            CertificateSigningRequestParams::from_pem(request_pem).map_err(certificate_error)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let (issued, expires) = self.date(&mut params);
        request.params = params;
        let certificate = request.signed_by(&self.signer.issuer).map_err(certificate_error)?.pem();
        Ok(Signed { certificate, issued, expires })
    }
}

fn create(directory: &Path, key_path: &Path, certificate_path: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(directory).map_err(|error| file_error(directory, &error))?;
    let key = KeyPair::generate().map_err(certificate_error)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "wharf installation CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key).map_err(certificate_error)?;
    write_synced(key_path, key.serialize_pem().as_bytes(), 0o600)?;
    write_synced(certificate_path, certificate.pem().as_bytes(), 0o644)
}

/// Writes aside, fsyncs, renames, fsyncs the directory.
fn write_synced(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    let aside: PathBuf = path.with_extension("new");
    let write = || {
        // What a killed process left has its own mode, and a key must not get that of a certificate.
        if aside.exists() {
            std::fs::remove_file(&aside)?;
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&aside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&aside, path)?;
        std::fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|error: std::io::Error| file_error(path, &error))
}

fn certificate_error(error: impl std::fmt::Display) -> Error {
    Error::Certificate { path: None, reason: error.to_string() }
}

fn file_error(path: &Path, error: &impl std::fmt::Display) -> Error {
    Error::Certificate { path: Some(path.to_owned()), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_private_whatever_a_killed_process_has_left() {
        let directory = tempfile::tempdir().unwrap();
        let left = directory.path().join("ca.new");
        std::fs::write(&left, "half").unwrap();
        std::fs::set_permissions(&left, std::fs::Permissions::from_mode(0o644)).unwrap();
        let made = Authority::load_or_create(directory.path()).unwrap();
        let mode = std::fs::metadata(directory.path().join("ca.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = Authority::load_or_create(directory.path()).unwrap();
        assert_eq!(read.fingerprint(), made.fingerprint());
    }
}
