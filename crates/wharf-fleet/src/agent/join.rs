//! Joining: a key and a signing request are made here, the server signs, both are stored.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use wharf_disk::DirLock;
use wharf_http::pki::{self, Trust};
use wharf_http::{Client, Endpoint};
use wharf_model::Name;

use super::data::{Certificates, Identity};
use crate::protocol::{JoinAnswer, JoinRequest};
use crate::{Error, JoinToken};

/// How to join.
#[derive(Clone, Debug)]
pub struct JoinOptions {
    /// The server's control API: `https://10.77.0.1:7700`; `http://` only on loopback.
    pub url: String,
    /// The join token's text.
    pub token: String,
    /// Name that this host is to have.
    pub name: Name,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Private address at which balancers reach its containers.
    pub address: Option<IpAddr>,
    /// The agent's data directory.
    pub data: PathBuf,
    /// Where the Engine looks for the CAs of registries; `None` is /etc/docker/certs.d.
    pub certs_dir: Option<PathBuf>,
}

/// Joins this host to a server: afterwards `data` holds its identity, and the Engine trusts the server's registry.
///
/// Errors: the token's form, the server's refusal in its words, TLS when the server's CA is not the one that the
/// token pins, `Locked` when an agent runs on `data`.
pub async fn join(options: JoinOptions) -> Result<Identity, Error> {
    let token: JoinToken = options.token.parse()?;
    let _lock = DirLock::acquire(&options.data)?;
    refuse_plain_http(&options.url)?;
    let tls = pki::client_config(&Trust::Pinned(token.authority.clone()), None)?;
    let client = Client::new(Endpoint::parse(&options.url, Some(tls))?);
    let (key, csr) = pki::new_request(options.name.as_str())?;
    let request = JoinRequest {
        token: options.token.trim().to_owned(),
        name: options.name.clone(),
        labels: options.labels,
        address: options.address,
        csr,
    };
    let answer: JoinAnswer = client.post("/api/v1/join", &request).await?;
    check_authority(&answer, &token)?;

    let JoinAnswer { certificate, life, ca, host_id, agents_url, registry } = answer;
    if host_id.is_empty() || !host_id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let reason = "the host's id is not hex".to_owned();
        return Err(Error::Form { what: "the server's answer".to_owned(), reason });
    }
    if let Some((account, registry_ca)) = registry.as_ref().and_then(|one| Some((one, one.ca.as_ref()?))) {
        let directory = options.certs_dir.unwrap_or_else(|| PathBuf::from("/etc/docker/certs.d"));
        wharf_docker::trust_registry(&directory, &account.address, registry_ca).await?;
    }
    let identity = Identity::new(host_id, options.name, agents_url, options.address, registry).joined(life);
    let stored = identity.clone();
    crate::blocking(move || stored.store(&options.data, &Certificates { key, certificate, ca })).await?;
    tracing::info!(host = %identity.name, "joined");
    Ok(identity)
}

/// Without TLS the token would travel in the clear.
fn refuse_plain_http(url: &str) -> Result<(), Error> {
    let Some(rest) = url.strip_prefix("http://") else { return Ok(()) };
    let authority: http::uri::Authority = rest
        .trim_end_matches('/')
        .parse()
        .map_err(|_| Error::Invalid(format!("`{url}` is not the URL of a server")))?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    let is_loopback =
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    if is_loopback {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "joining over {url} would send the token unencrypted\n  hint: write https://"
    )))
}

/// Over plain HTTP nothing else has checked that this is the server that made the token.
fn check_authority(answer: &JoinAnswer, token: &JoinToken) -> Result<(), Error> {
    let form = |reason: String| Error::Form { what: "the server's answer".to_owned(), reason };
    let der =
        CertificateDer::from_pem_slice(answer.ca.as_bytes()).map_err(|error| form(error.to_string()))?;
    if pki::fingerprint(&der) == token.authority {
        return Ok(());
    }
    Err(form("its CA is not the one that the token pins".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_in_the_clear_only_on_loopback() {
        for good in
            ["https://10.0.0.1:7700", "http://127.0.0.1:7700", "http://localhost:1/", "http://[::1]:7700"]
        {
            assert!(refuse_plain_http(good).is_ok(), "{good}");
        }
        for bad in
            ["http://10.0.0.1:7700", "http://example.com", "http://127.0.0.1.example.com", "http://a b"]
        {
            assert!(refuse_plain_http(bad).is_err(), "{bad}");
        }
    }
}
