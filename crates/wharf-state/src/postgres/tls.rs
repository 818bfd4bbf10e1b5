//! TLS of the connection to PostgreSQL, with rustls.
//!
//! Without channel binding: the server's certificate is always verified, so a password goes to nobody else. Why one is
//! refused is said in words for the person who has to do something about it ([`refusal`]).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{self, CertificateError, ClientConfig};

/// Makes a connector for each host.
#[derive(Clone)]
pub(super) struct Rustls {
    pub(super) config: Arc<ClientConfig>,
}

/// For one host.
pub(super) struct ForHost {
    connector: TlsConnector,
    name: ServerName<'static>,
}

/// A connection in TLS.
pub(super) struct Stream<S>(tokio_rustls::client::TlsStream<S>);

/// Why the server's certificate was refused; `None` if something else went wrong.
pub(super) fn refusal(error: &tokio_postgres::Error) -> Option<String> {
    let cause = std::error::Error::source(error)?.downcast_ref::<io::Error>()?.get_ref()?;
    let rustls::Error::InvalidCertificate(reason) = cause.downcast_ref::<rustls::Error>()? else {
        return None;
    };
    Some(match reason {
        // A CA of the same name with another key shows as a wrong signature.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "the CA in state.ca has not signed it\n  hint: state.ca names the certificate of the CA that signed PostgreSQL's `ssl_cert_file`".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => format!(
            "{reason}\n  hint: in state.url use a name or an address that is in it, or have it made anew with that name"
        ),
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            format!("{reason}\n  hint: renew `ssl_cert_file` and reload PostgreSQL")
        }
        CertificateError::Other(_) if reason.to_string().contains("CaUsedAsEndEntity") => {
            "it is a CA's own\n  hint: PostgreSQL needs a certificate of its own, signed by that CA".to_owned()
        }
        other => other.to_string(),
    })
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Rustls {
    type Stream = Stream<S>;
    type TlsConnect = ForHost;
    type Error = rustls_pki_types::InvalidDnsNameError;

    fn make_tls_connect(&mut self, host: &str) -> Result<ForHost, Self::Error> {
        let name = ServerName::try_from(host.to_owned())?;
        Ok(ForHost { connector: TlsConnector::from(Arc::clone(&self.config)), name })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for ForHost {
    type Stream = Stream<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move { self.connector.connect(self.name, stream).await.map(Stream) })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Stream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
