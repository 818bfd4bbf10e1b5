//! TLS to PostgreSQL: who is believed, and what a person is told when somebody is not.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use wharf_state::Error;
use wharf_state::postgres::{Options, Postgres};
use wharf_test_support::require;

use crate::place::{lead, options};

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Two of them have the same name, as those of two installations have.
fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A running PostgreSQL whose certificate is for these names.
fn server(authority: &Authority, params: CertificateParams) -> wharf_test_support::Postgres {
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    wharf_test_support::Postgres::start_with_tls(&certificate.pem(), &key.serialize_pem())
}

fn names(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

fn trusting(url: &str, authority: &Authority) -> Options {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Options { tls: Some(Arc::new(config)), ..options(url) }
}

async fn refusal(options: Options) -> String {
    let error = Postgres::connect(options).await.err().unwrap();
    assert!(matches!(error, Error::Untrusted(_)), "{error}");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verified_server_is_used_over_tls_and_one_that_is_not_hears_nothing() {
    require!(Postgres);
    let (ours, other) = (authority(), authority());
    let server = server(&ours, names(&["127.0.0.1"]));
    let plain = server.database("state");
    for mode in ["verify-full", "require"] {
        let url = format!("{plain}?sslmode={mode}");
        let postgres = Postgres::connect(trusting(&url, &ours)).await.unwrap();
        let (state, lease) = lead(&postgres, mode).await;
        let sql = "SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
        let version: String = state.read(move |c| c.query_row(sql, (), |row| row.get(0))).await.unwrap();
        assert_eq!(version, "TLSv1.3", "{mode}");
        lease.release().await.unwrap();

        let said = refusal(trusting(&url, &other)).await;
        for part in ["certificate is refused", "state.ca", "has not signed it", "hint: "] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
    let said =
        refusal(trusting(&format!("{plain}?sslmode=verify-full").replace("127.0.0.1", "localhost"), &ours))
            .await;
    assert!(said.contains("localhost") && said.contains("use a name or an address that is in it"), "{said}");
    let clear = Postgres::connect(options(&plain)).await.err().unwrap().to_string();
    assert!(clear.contains("no encryption"), "this server takes TLS alone: {clear}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_no_servers_or_too_old_is_named() {
    require!(Postgres);
    let ours = authority();
    let mut old = names(&["127.0.0.1"]);
    old.not_before = rcgen::date_time_ymd(2020, 1, 1);
    old.not_after = rcgen::date_time_ymd(2021, 1, 1);
    let old = server(&ours, old);
    let said = refusal(trusting(&format!("{}?sslmode=verify-full", old.database("state")), &ours)).await;
    assert!(said.contains("expired") && said.contains("ssl_cert_file"), "{said}");

    let own = wharf_test_support::Postgres::start_with_tls(&ours.pem(), &ours.key().serialize_pem());
    let said = refusal(trusting(&format!("{}?sslmode=verify-full", own.database("state")), &ours)).await;
    assert!(said.contains("signed by that CA"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_not_talked_to_in_clear() {
    require!(Postgres);
    let server = wharf_test_support::Postgres::start();
    let url = format!("{}?sslmode=verify-full", server.database("state"));
    let error = Postgres::connect(trusting(&url, &authority())).await.err().unwrap().to_string();
    assert!(error.contains("server does not support TLS"), "{error}");
}
