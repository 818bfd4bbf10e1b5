//! Hosts without an Engine: they have joined, speak the protocol as agents do, and say that all they were given runs. For
//! rehearsing and measuring a server with more hosts than there are machines (`wharf lab agents`).
//!
//! Everything but the containers is an agent's own code: connection, pings, watch, reports. Their directories are best put
//! in memory (`/dev/shm`): each writes every desired state, as an agent does, and a thousand share one disk here.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;
use wharf_base::{Clock, Tasks, UnixMillis};
use wharf_model::{HostReport, InstanceReport, InstanceState};

use super::{AgentDeps, link, resources, session};
use crate::protocol::HostDesired;
use crate::{AgentConfig, Error};

/// Port 9, "discard" (RFC 863): nothing listens where these instances are said to be.
const NOWHERE: u16 = 9;

/// A simulated host.
pub struct Simulated {
    /// The generation of the newest report that the server has taken in; 0 before the first.
    pub heard: watch::Receiver<u64>,
}

/// Connects a host that has joined with its directory `data`, until `tasks` stops. It says that its processor is of
/// `architecture`, in the Engine's words.
pub fn start_simulated(
    config: &AgentConfig,
    data: PathBuf,
    architecture: &str,
    clock: Arc<dyn Clock>,
    tasks: &Tasks,
) -> Result<Simulated, Error> {
    let deps = AgentDeps::joined(data, Arc::clone(&clock))?;
    let seed = seed(deps.host.as_str(), clock.now());
    let address = deps.published.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let (desired, mut desired_receiver) = watch::channel(None);
    let (reports, report_receiver) = watch::channel(Arc::new(HostReport::default()));
    let (online, _) = watch::channel(None);
    let (heard, heard_receiver) = watch::channel(0);
    let mut session = session::Session {
        desired,
        reports: report_receiver,
        desired_path: deps.data.join("desired.json"),
        report_interval: config.report_interval,
        splay: session::Splay::new(seed),
        heard,
        resources: resources::Sampler::default(),
        clock: Arc::clone(&clock),
    };
    let (connector, link_tasks) = (deps.connector, tasks.clone());
    tasks.spawn("simulated link", async move {
        let run = async move |server: link::Server| {
            // An agent has this stream open too; nobody is there to do what is asked on it.
            let calls = async {
                let mut lines = server.lines("/agent/v1/calls").await?;
                while lines.next::<serde_json::Value>().await?.is_some() {}
                Ok::<_, Error>(())
            };
            tokio::select! {
                ended = session.run(server.clone()) => ended,
                ended = calls => ended,
            }
        };
        link::keep_connected(connector, link_tasks, seed, online, run).await;
    });
    let (shutdown, architecture) = (tasks.shutdown(), architecture.to_owned());
    tasks.spawn("simulated host", async move {
        loop {
            let current = desired_receiver.borrow_and_update().clone();
            if let Some(current) = current {
                reports.send_replace(Arc::new(all_runs(&current, address, &architecture, clock.now())));
            }
            tokio::select! {
                changed = desired_receiver.changed() => if changed.is_err() { return },
                () = shutdown.cancelled() => return,
            }
        }
    });
    Ok(Simulated { heard: heard_receiver })
}

/// The report of a host where everything is as desired.
fn all_runs(desired: &HostDesired, address: IpAddr, architecture: &str, now: UnixMillis) -> HostReport {
    let instances =
        desired.apps.iter().flat_map(|(app, part)| part.instances.iter().map(move |one| (app, one)));
    let reports = instances.map(|(app, instance)| InstanceReport {
        id: instance.id.clone(),
        app: app.clone(),
        service: instance.service.clone(),
        release: instance.release,
        slot: instance.slot,
        state: InstanceState::Healthy,
        address: instance.serve.is_some().then_some(SocketAddr::new(address, NOWHERE)),
        container_id: Some(blake3::hash(instance.id.as_bytes()).to_hex().to_string()),
        since: now,
        restarts: 0,
        log_tail: Vec::new(),
    });
    HostReport {
        generation: desired.generation,
        generation_seen: desired.generation,
        instances: reports.collect(),
        agent_version: concat!(env!("CARGO_PKG_VERSION"), " (simulated)").to_owned(),
        engine_version: "none".to_owned(),
        architecture: architecture.to_owned(),
        ..HostReport::default()
    }
}

/// Another one for each host, so that their waits differ.
fn seed(host: &str, now: UnixMillis) -> u64 {
    let hash = blake3::hash(host.as_bytes());
    let bytes = hash.as_bytes().first_chunk::<8>().expect("a hash has 32 bytes");
    u64::from_le_bytes(*bytes) ^ now.0.unsigned_abs()
}
