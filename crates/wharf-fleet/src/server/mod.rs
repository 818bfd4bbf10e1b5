//! The server's side: who the hosts are, what they are to run, and what they report.
//!
//! A change comes in through [`Hosts::commit`], is checked (`validate`), stored (`store`) and published; each agent's
//! watch stream tells it, the agent fetches its part, works, and reports. Reports and connections change what is
//! observed, from which `table` computes the balancers' table. All published values are immutable snapshots in
//! watch channels.
//!
//! Always true: a generation is on disk before anyone sees it; a host is known by the fingerprint of its certificate
//! alone; liveness is the open watch stream of a connection that answers pings, and is kept in memory only.
//! Limits: see [`crate::Config`].

mod agents;
mod blind;
mod calls;
mod fleet;
mod join;
mod operations;
mod orphans;
mod parts;
mod publish;
mod renew;
mod routes;
mod skew;
mod store;
mod table;
mod validate;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use wharf_base::{Clock, Digest, Tasks};
use wharf_http::pki::{Authority, ClientAuth};
use wharf_http::{Ping, ServerOptions, Windows};
use wharf_model::ports::{EventSink, Hosts, PortError, RegistryUser, Session};
use wharf_model::{Call, Change, Generation, HostView, Name, Observed, PoolsObserved, Table};

use crate::{Config, Error};

pub(crate) use fleet::Fleet;
pub use join::{NewToken, TokenMade, join_routes};
pub use operations::operations;
pub use routes::routes;

/// Finds the tar archive of a file bundle on the server's disk.
pub type FindFiles = Arc<dyn Fn(&Digest) -> Option<PathBuf> + Send + Sync>;

/// What the server's side needs of others.
pub struct Deps {
    /// The control state.
    pub database: wharf_state::Database,
    /// Where events go.
    pub events: Arc<dyn EventSink>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Signs the certificates of hosts and of the listener.
    pub authority: Arc<Authority>,
    /// Name or address at which hosts reach this server, without a port.
    pub server_address: String,
    /// URL of the control API, as hosts reach it: `https://10.77.0.1:7700`. Part of the command that joining shows.
    pub api_url: String,
    /// The built-in registry, if it runs.
    pub registry: Option<RegistryPlace>,
    /// Path of the file bundle with this digest, if there is one.
    pub files: FindFiles,
    /// The values of secrets by their fingerprints.
    pub secrets: Arc<wharf_secrets::Vault>,
    /// The host that the server itself runs on, if its Engine is to be used.
    pub local_host: Option<LocalHost>,
}

/// Where hosts find the built-in registry.
#[derive(Clone, Debug)]
pub struct RegistryPlace {
    /// `10.77.0.1:5000`.
    pub address: String,
    /// Certificate of its CA, PEM; `None` when it speaks plain HTTP.
    pub ca: Option<String>,
}

/// The server's own host.
#[derive(Clone, Debug)]
pub struct LocalHost {
    /// Name.
    pub name: Name,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

/// The running server's side; clones share it.
#[derive(Clone)]
pub struct Handle {
    pub(crate) fleet: Arc<Fleet>,
    listen: Arc<[SocketAddr]>,
}

/// Binds `agents.listen`, loads hosts and the newest generation, and serves agents until `tasks` stops.
pub async fn start(config: Config, deps: Deps, tasks: &Tasks) -> Result<Handle, Error> {
    let listeners = wharf_http::bind("agents.listen", &config.listen).await?;
    let listen: Vec<SocketAddr> =
        listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
    let mut names = vec![deps.server_address.clone(), "localhost".to_owned()];
    names.extend(listen.iter().map(|address| address.ip().to_string()));
    names.sort();
    names.dedup();
    let tls = deps.authority.server_config(&names, ClientAuth::Required)?;
    let port = listen.first().map_or(7701, SocketAddr::port);
    let options = ServerOptions {
        connections_max: config.connections_max,
        ping: Some(Ping { interval: config.ping_interval, timeout: config.ping_timeout }),
        windows: Some(WINDOWS),
        ..ServerOptions::default()
    };
    let fleet = Fleet::load(config, deps, port, tasks.clone()).await?;
    publish::start(&fleet, tasks);
    for listener in listeners {
        let router = agents::router(Arc::clone(&fleet));
        wharf_http::serve("agents", listener, Some(Arc::clone(&tls)), router, options.clone(), tasks);
    }
    Ok(Handle { fleet, listen: listen.into() })
}

impl Handle {
    /// The addresses that agents can connect to.
    pub fn listen(&self) -> &[SocketAddr] {
        &self.listen
    }

    /// Tells agents where all servers of the installation listen for them (`https://10.77.0.1:7701`), this one included.
    pub fn set_servers(&self, agents: Vec<String>) {
        let mut servers = self.fleet.servers.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        *servers = crate::protocol::Servers { agents };
    }

    /// The balancers' table, as it changes.
    pub fn tables(&self) -> watch::Receiver<Arc<Table>> {
        self.fleet.tables.subscribe()
    }

    /// What balancers in other processes report, those that are connected now.
    pub fn balancers(&self) -> watch::Receiver<Arc<PoolsObserved>> {
        self.fleet.balancers.subscribe()
    }

    /// Whether these are the credentials that a host was given for pulling from the registry.
    pub fn check_registry(&self, user: &str, password: &str) -> Option<RegistryUser> {
        self.fleet.check_registry(user, password)
    }

    /// The credentials for pulls by the server's own host; new ones at each start.
    pub fn local_registry_account(&self) -> Option<crate::RegistryAccount> {
        self.fleet.local_account.clone()
    }

    /// Connects the agent inside of this process, with the identity of the server's own host.
    pub fn inside(&self, host: Name) -> crate::agent::Connector {
        crate::agent::Connector::Inside { router: agents::router(Arc::clone(&self.fleet)), host }
    }

    /// Makes a token that lets hosts join.
    pub async fn make_token(&self, request: NewToken, by: &str) -> Result<TokenMade, Error> {
        self.fleet.make_token(request, by).await
    }

    /// Marks a host as draining: it gets no new instances, and its targets get no new requests where others can.
    pub async fn drain(&self, host: &str, draining: bool, by: &str) -> Result<(), Error> {
        self.fleet.drain(host, draining, by).await
    }

    /// Removes a host: its certificate is refused at once. With `force` its instances leave the desired state.
    pub async fn remove(&self, host: &str, force: bool, by: &str) -> Result<(), Error> {
        self.fleet.remove(host, force, by).await
    }
}

#[async_trait]
impl Hosts for Handle {
    /// Without the balancers that have joined: they run no containers.
    fn hosts(&self) -> Vec<HostView> {
        let mut views = self.fleet.views();
        views.retain(|view| !is_balancer(&view.labels));
        views
    }

    fn generation(&self) -> Arc<Generation> {
        self.fleet.generation()
    }

    async fn commit(&self, change: Change) -> Result<u64, PortError> {
        Ok(self.fleet.commit(change).await?)
    }

    fn observed(&self) -> watch::Receiver<Arc<Observed>> {
        self.fleet.observed.subscribe()
    }

    fn lost(&self) -> BTreeMap<Name, Duration> {
        self.fleet.lost()
    }
}

#[async_trait]
impl wharf_model::ports::Calls for Handle {
    async fn call(&self, host: &Name, call: Call) -> Result<Session, PortError> {
        Ok(calls::call(&self.fleet, host, call).await?)
    }
}

/// Flow control of an agent's connection, on both sides: if every call of a host stands still (64, of 128 KiB each),
/// half of the connection's window is left for reports, files and what is announced.
pub(crate) const WINDOWS: Windows = Windows { stream: 128 << 10, connection: 16 << 20 };

/// Whether what joined with these labels is a balancer of its own, not a host.
pub(crate) fn is_balancer(labels: &BTreeMap<String, String>) -> bool {
    labels.get("role").is_some_and(|role| role == "balancer")
}

/// Longest life of a join token.
const TOKEN_LIFE_MAX: Duration = Duration::from_secs(30 * 86_400);
