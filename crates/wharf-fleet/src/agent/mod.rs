//! The agent: makes one Engine's containers what the server desires, and reports.
//!
//! `link` keeps the connection, `session` speaks the protocol on it, `converge` works. They meet in two watch channels:
//! the desired state (from the disk at first, so that the agent works without a server) and the report. The same code
//! runs in the server's process for its own Engine ([`Connector::Inside`]) and as `wharf agent` on other hosts.
//!
//! Always true: a container without our owner label is never touched; a new desired state is on disk before it is acted
//! on; when the agent stops, containers keep running; volumes are never removed.

mod calls;
mod converge;
mod create;
mod data;
mod drift;
mod engine;
mod explain;
mod files;
mod found;
mod gates;
mod health;
mod images;
mod join;
mod link;
mod made;
mod met;
mod orphans;
mod plan;
mod probe;
mod pull;
mod pulled;
mod remote_balancer;
mod renewal;
mod report;
mod resources;
mod secrets;
mod servers;
mod session;
mod simulated;
mod tidy;
mod work;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio::sync::{mpsc, watch};
use wharf_base::{Clock, Tasks};
use wharf_model::{HostReport, Name};

use crate::{AgentConfig, Error, RegistryAccount};

pub use data::Identity;
pub use join::{JoinOptions, join};
pub use link::Connector;
pub use remote_balancer::{BalancerDeps, BalancerLink, start_balancer};
pub use servers::Servers;
pub use simulated::{Simulated, start_simulated};

/// What an agent needs of others.
pub struct AgentDeps {
    /// Its directory.
    pub data: PathBuf,
    /// How it reaches the server.
    pub connector: Connector,
    /// Name of the host.
    pub host: Name,
    /// Private address on which served ports are published; `None` on the server's own host, whose balancer reaches
    /// containers by their own addresses.
    pub published: Option<IpAddr>,
    /// Account at the built-in registry.
    pub registry: Option<RegistryAccount>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// A running agent.
pub struct AgentHandle {
    reports: watch::Receiver<Arc<HostReport>>,
}

impl AgentDeps {
    /// Of a host that has joined, from its data directory.
    ///
    /// Errors: `NotJoined` if it has not.
    pub fn joined(data: PathBuf, clock: Arc<dyn Clock>) -> Result<AgentDeps, Error> {
        let identity = Identity::load(&data)?;
        let connector = Connector::network(&identity, &data, Arc::clone(&clock))?;
        let Identity { name, address, registry, .. } = identity;
        Ok(AgentDeps { data, connector, host: name, published: address, registry, clock })
    }
}

impl AgentHandle {
    /// The agent's reports, whether or not the server hears them. The first one is empty, without even a version of the
    /// agent: it has not looked yet.
    pub fn reports(&self) -> watch::Receiver<Arc<HostReport>> {
        self.reports.clone()
    }
}

/// Locks the data directory and starts the agent, until `tasks` stops. Neither the server nor the Engine need to answer.
///
/// Errors: another agent has the directory, or what lies there can't be read.
pub async fn start(config: AgentConfig, deps: AgentDeps, tasks: &Tasks) -> Result<AgentHandle, Error> {
    let path = deps.data.clone();
    let (data, owner, desired) = crate::blocking(move || {
        let data = data::Data::open(&path)?;
        let (owner, desired) = (data.owner()?, data.desired()?);
        Ok::<_, Error>((data, owner, desired))
    })
    .await?;
    let shutdown = tasks.shutdown();
    let seed = deps.clock.now().0.unsigned_abs() ^ u64::from(std::process::id());

    let (desired_sender, desired_receiver) = watch::channel(desired.map(Arc::new));
    let (report_sender, report_receiver) = watch::channel(Arc::new(HostReport::default()));
    let (online_sender, online_receiver) = watch::channel(None);
    let (engine_sender, engine_receiver) = watch::channel(None);
    let (wake, wakes) = mpsc::channel(converge::WAKES_MAX);

    let follow = engine::follow(
        config.engine.clone(),
        owner.clone(),
        engine_sender,
        desired_receiver.clone(),
        wake.clone(),
        Arc::clone(&deps.clock),
    );
    let engine_shutdown = shutdown.clone();
    tasks.spawn("agent engine", async move {
        tokio::select! {
            () = follow => {}
            () = engine_shutdown.cancelled() => {}
        }
    });

    let mut session = session::Session {
        desired: desired_sender,
        reports: report_receiver.clone(),
        desired_path: data.desired_path(),
        report_interval: config.report_interval,
        splay: session::Splay::new(seed),
        heard: watch::Sender::default(),
        resources: resources::Sampler::default(),
        clock: Arc::clone(&deps.clock),
    };
    let memory = config.secrets.clone().unwrap_or_else(wharf_secrets::default_directory);
    let secrets = secrets::Secrets::new(data.secrets(), memory, owner.clone());
    let shop = Arc::new(work::Workshop {
        owner,
        host: deps.host,
        published: deps.published,
        account: deps.registry,
        files: data.files(),
        secrets,
        server: online_receiver,
        pulled: pulled::Pulled::load(data.pulled_path()),
        gates: gates::Gates::default(),
        runs: Mutex::default(),
    });
    let desk = Arc::new(calls::Desk {
        shop: Arc::clone(&shop),
        engine: engine_receiver.clone(),
        desired: desired_receiver.clone(),
        clock: Arc::clone(&deps.clock),
        tasks: tasks.clone(),
    });
    tasks.spawn("agent leftovers", calls::remove_leftovers(Arc::clone(&desk)));
    let (connector, link_tasks) = (deps.connector, tasks.clone());
    tasks.spawn("agent link", async move {
        let run = async move |server: link::Server| {
            tokio::select! {
                ended = session.run(server.clone()) => ended,
                () = calls::serve(server, Arc::clone(&desk)) => Ok(()),
            }
        };
        link::keep_connected(connector, link_tasks, seed, online_sender, run).await;
    });
    let converger = converge::Converger {
        met: met::Met::load(data.met_path()),
        drifts: drift::log::Log::default(),
        health: health::Health::new(config.settle, wake.clone(), tasks.clone()),
        config,
        clock: deps.clock,
        tasks: tasks.clone(),
        shop,
        desired: desired_receiver,
        engine: engine_receiver,
        wake,
        wakes,
        reporter: report::Reporter::default(),
        reports: report_sender,
    };
    tasks.spawn("agent converge", async move {
        // The lock is held as long as anything is done to the directory's containers.
        let _data = data;
        converger.run(shutdown).await;
    });
    Ok(AgentHandle { reports: report_receiver })
}
