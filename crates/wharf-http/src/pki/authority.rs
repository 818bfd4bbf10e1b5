//! The authority: made once, kept on disk, signs servers and hosts.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use sha2::{Digest as _, Sha256};
use wharf_base::Digest;

use crate::Error;

/// A certificate authority with its key.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
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
        Ok(Authority { issuer, certificate, pem })
    }

    /// The authority's certificate.
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// SHA-256 of the authority's certificate, as join tokens pin it.
    pub fn fingerprint(&self) -> Digest {
        fingerprint(&self.certificate)
    }

    /// A TLS configuration for a listener that is reached under `names` (DNS names and IP addresses). The chain that
    /// it shows ends with the authority itself, so that a client with a pin can find it. The key lives in memory only.
    pub fn server_config(
        &self,
        names: &[String],
        clients: ClientAuth,
    ) -> Result<Arc<rustls::ServerConfig>, Error> {
        let key = KeyPair::generate().map_err(certificate_error)?;
        let mut params = CertificateParams::new(names.to_vec()).map_err(certificate_error)?;
        let common_name = names.first().map_or("wharf", String::as_str);
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.issuer).map_err(certificate_error)?;
        let chain = vec![certificate.der().clone(), self.certificate.clone()];
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(certificate_error)?;
        let builder = match clients {
            ClientAuth::None => builder.with_no_client_auth(),
            ClientAuth::Required => {
                let mut roots = rustls::RootCertStore::empty();
                roots.add(self.certificate.clone()).map_err(certificate_error)?;
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                    .build()
                    .map_err(certificate_error)?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(certificate_error)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Signs a request as a client certificate with `common_name`, whatever name the request asks for. Returns PEM.
    pub fn sign_client(&self, request_pem: &str, common_name: &str) -> Result<String, Error> {
        let mut request =
            CertificateSigningRequestParams::from_pem(request_pem).map_err(certificate_error)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        request.params = params;
        let certificate = request.signed_by(&self.issuer).map_err(certificate_error)?;
        Ok(certificate.pem())
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
