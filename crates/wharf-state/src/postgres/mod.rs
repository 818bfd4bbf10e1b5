//! The control state in PostgreSQL, for servers of which one takes over from the other.
//!
//! [`Postgres`] is a place that was reached; any number of servers have it. [`Postgres::try_lead`] takes the lease, and
//! only its holder gets a [`crate::Database`]: `lease` keeps it, `writer` commits, `session` is a connection.
//!
//! What must always hold: **a commit is by the holder of the lease.** Each transaction locks the lease's row and reads the
//! term in it before anything else, so a server that was stopped and goes on, or that is cut off, changes nothing after
//! another one has taken over. A holder that stands still inside of a transaction is thrown out by PostgreSQL
//! (`idle_in_transaction_session_timeout`), so its lock can't keep the next one waiting.
//!
//! Durable as PostgreSQL is: `synchronous_commit=off` of the server is overruled. The outcome of a commit whose answer was
//! lost is asked for (`pg_xact_status`); where even that has no answer, the lease is given up, because a restart looks at
//! what is stored. PostgreSQL 13 or newer.
//!
//! A runtime with one thread of its own drives the connections and the lease, so neither waits for what the server does.

mod dialect;
mod lease;
mod session;
mod tls;
mod writer;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};
use tokio_postgres::{Client, NoTls};
use tokio_rustls::rustls::ClientConfig;

use crate::Error;
use crate::sql::{Connection, SqlError};

pub use lease::{Leader, Lease, Peer};
use session::Session;

/// LIMIT: idle connections for reading that are kept.
const READERS_IDLE_MAX: usize = 4;
/// LIMIT: wait for a connection.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(5);

/// How to reach PostgreSQL.
#[derive(Clone)]
pub struct Options {
    /// `postgres://user:password@host:5432,host2:5432/database?sslmode=verify-full`; a host may be the directory of a Unix
    /// socket (`postgres:///wharf?host=/run/postgresql`).
    pub url: String,
    /// Instead of a password in the URL.
    pub password: Option<String>,
    /// Whom to trust, for `sslmode=verify-full` and `require`, which mean the same here: the certificate and its name are
    /// always verified.
    pub tls: Option<Arc<ClientConfig>>,
    /// Passwords and state may travel readable over a network.
    pub insecure: bool,
    /// How long a lease lasts without being renewed; it is renewed after a third of this.
    pub lease: Duration,
}

/// A PostgreSQL that was reached; clones share it.
#[derive(Clone)]
pub struct Postgres {
    inner: Arc<Inner>,
}

struct Inner {
    config: tokio_postgres::Config,
    tls: Option<tls::Rustls>,
    lease: Duration,
    runtime: Option<Runtime>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // A runtime must not be waited for inside of another.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Postgres {
    /// Connects and makes the tables of the lease where they are missing.
    ///
    /// Errors: `Url` for wrong settings; `Unreachable` when it doesn't answer or refuses.
    pub async fn connect(options: Options) -> Result<Postgres, Error> {
        let (config, tls) = configuration(&options)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("state-postgres")
            .enable_all()
            .build()
            .map_err(|error| Error::Unreachable(error.to_string()))?;
        let inner = Inner { config, tls, lease: options.lease, runtime: Some(runtime) };
        let postgres = Postgres { inner: Arc::new(inner) };
        postgres.prepare().await?;
        Ok(postgres)
    }

    fn runtime(&self) -> &Runtime {
        self.inner.runtime.as_ref().expect("it is taken when the last handle goes")
    }

    /// A new connection, driven by our runtime.
    async fn client(&self) -> Result<Client, tokio_postgres::Error> {
        let client = match self.inner.tls.clone() {
            Some(tls) => {
                let (client, connection) = self.inner.config.connect(tls).await?;
                self.runtime().spawn(connection);
                client
            }
            None => {
                let (client, connection) = self.inner.config.connect(NoTls).await?;
                self.runtime().spawn(connection);
                client
            }
        };
        let idle = self.inner.lease.as_millis() / 2;
        let settings = format!(
            "SET idle_in_transaction_session_timeout = {idle}; SET lock_timeout = 10000;
             SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
        );
        client.batch_execute(&settings).await?;
        Ok(client)
    }

    /// Runs on our runtime, with a limit, whatever the caller's runtime does.
    async fn ask<T, F>(&self, ask: impl FnOnce(Client) -> F + Send + 'static) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, tokio_postgres::Error>> + Send,
    {
        let postgres = self.clone();
        let asked = self.runtime().spawn(async move {
            let limit = CONNECT_WAIT_MAX * 2;
            let work = async { ask(postgres.client().await?).await };
            match tokio::time::timeout(limit, work).await {
                Ok(result) => result.map_err(|error| match tls::refusal(&error) {
                    Some(reason) => Error::Untrusted(reason),
                    None => Error::Unreachable(session::reason(&error)),
                }),
                Err(_) => Err(Error::Unreachable(format!("no answer within {} s", limit.as_secs()))),
            }
        });
        asked.await.map_err(|_| Error::Closed)?
    }

    /// A connection for blocking work.
    fn session(&self) -> Result<Session, SqlError> {
        let handle = self.runtime().handle().clone();
        let limit = CONNECT_WAIT_MAX * 2;
        match handle.block_on(async { tokio::time::timeout(limit, self.client()).await }) {
            Ok(client) => Ok(Session::new(client?, handle)),
            Err(_) => Err(SqlError::Gone(format!("no answer within {} s", limit.as_secs()))),
        }
    }
}

fn configuration(options: &Options) -> Result<(tokio_postgres::Config, Option<tls::Rustls>), Error> {
    let mut config: tokio_postgres::Config = in_its_words(&options.url)?
        .parse()
        .map_err(|error: tokio_postgres::Error| Error::Url(session::reason(&error)))?;
    if let Some(password) = &options.password {
        config.password(password);
    }
    if config.get_dbname().is_none() || config.get_user().is_none() {
        return Err(Error::Url("it names no user or no database".to_owned()));
    }
    let is_near = config.get_hosts().iter().all(|host| match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
    });
    let wants_tls = config.get_ssl_mode() == SslMode::Require;
    if !is_near && !wants_tls && !options.insecure {
        return Err(Error::Url("it leads off this machine without TLS\n  hint: add ?sslmode=verify-full and name the CA with state.ca, or set state.insecure".to_owned()));
    }
    let tls = match (&options.tls, wants_tls) {
        (None, true) => {
            return Err(Error::Url(
                "sslmode=verify-full needs a CA\n  hint: name its file with state.ca".to_owned(),
            ));
        }
        (Some(config), true) => Some(tls::Rustls { config: Arc::clone(config) }),
        (_, false) => None,
    };
    if tls.is_none() {
        config.ssl_mode(SslMode::Disable);
    }
    config
        .application_name("wharf")
        .connect_timeout(CONNECT_WAIT_MAX)
        .tcp_user_timeout(options.lease)
        .keepalives_idle(options.lease)
        // Of several hosts the one that takes writes.
        .target_session_attrs(TargetSessionAttrs::ReadWrite);
    Ok((config, tls))
}

/// The URL as tokio-postgres reads it: of libpq's modes it knows `require`, and with our connector that verifies all.
fn in_its_words(url: &str) -> Result<String, Error> {
    let (place, options) = url.split_once('?').unwrap_or((url, ""));
    if options.split('&').any(|option| option == "sslmode=verify-ca") {
        return Err(Error::Url(
            "sslmode=verify-ca is not offered\n  hint: sslmode=verify-full checks the certificate's names too".to_owned(),
        ));
    }
    let options: Vec<&str> = options
        .split('&')
        .map(|option| if option == "sslmode=verify-full" { "sslmode=require" } else { option })
        .collect();
    Ok(if url.contains('?') { format!("{place}?{}", options.join("&")) } else { url.to_owned() })
}

/// The state of the server that holds the lease; clones share it.
#[derive(Clone)]
pub(crate) struct Database {
    postgres: Postgres,
    writes: mpsc::Sender<writer::Write>,
    readers: Arc<Mutex<Vec<Session>>>,
}

impl Database {
    fn open(postgres: Postgres, lease: Lease) -> Result<Database, Error> {
        let (writes, receiver) = mpsc::channel(writer::WRITES_WAITING_MAX);
        let writer = writer::Writer::new(postgres.clone(), lease);
        std::thread::Builder::new()
            .name("state-writer".to_owned())
            .spawn(move || writer.run(receiver))
            .map_err(|error| Error::Unreachable(error.to_string()))?;
        Ok(Database { postgres, writes, readers: Arc::default() })
    }

    pub(crate) async fn write<T, F>(&self, change: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection<'_>) -> Result<T, SqlError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let write = writer::write(change, move |result| {
            // A caller that went away does not undo its write.
            let _ = sender.send(result);
        });
        self.writes.send(write).await.map_err(|_| Error::NotLeading)?;
        receiver.await.map_err(|_| Error::NotLeading)?
    }

    pub(crate) async fn read<T, F>(&self, query: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection<'_>) -> Result<T, SqlError> + Send + 'static,
    {
        let database = self.clone();
        let work = move || {
            let idle = database.readers.lock().expect("no holder panics").pop();
            let session = match idle.filter(Session::is_open) {
                Some(session) => session,
                None => database.postgres.session()?,
            };
            let result = query(&Connection { engine: &session });
            if session.is_open() {
                let mut idle = database.readers.lock().expect("no holder panics");
                if idle.len() < READERS_IDLE_MAX {
                    idle.push(session);
                }
            }
            result.map_err(Error::from)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Error::Closed)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str, insecure: bool) -> Result<(), String> {
        let lease = Duration::from_secs(1);
        let options = Options { url: url.to_owned(), password: None, tls: None, insecure, lease };
        configuration(&options).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn a_password_travels_readable_only_when_told() {
        for good in [
            "postgres://w:p@127.0.0.1/w",
            "postgres://w:p@localhost:6000,[::1]/w",
            "postgres:///w?host=/run/postgresql&user=w",
        ] {
            assert_eq!(check(good, false), Ok(()), "{good}");
        }
        let far = "postgres://w:p@127.0.0.1,db.example/w";
        assert!(check(far, false).unwrap_err().contains("without TLS"));
        assert_eq!(check(far, true), Ok(()));
        for verified in ["require", "verify-full", "verify-full&connect_timeout=3"] {
            let verified = format!("postgres://w@db.example/w?sslmode={verified}");
            assert!(check(&verified, true).unwrap_err().contains("state.ca"), "{verified}");
        }
        let half = check("postgres://w@db.example/w?sslmode=verify-ca", true).unwrap_err();
        assert!(half.contains("verify-full"), "{half}");
        assert!(check("postgres://w@127.0.0.1", false).unwrap_err().contains("database"));
        assert!(check("mysql://w@127.0.0.1/w", false).is_err());
    }
}
