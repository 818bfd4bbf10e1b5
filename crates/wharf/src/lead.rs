//! Two servers with one state: which of them leads.
//!
//! With `state.url` the control state is in PostgreSQL, and any number of servers may be started on it. [`stand_by`] waits
//! for the lease; meanwhile it answers on `api.listen` with where the leader is. Who has the lease runs as a server does
//! without PostgreSQL. Who loses it ends what it does and starts again as a standby ([`start_again`]): nothing of the
//! lost term is kept in memory. What it had under way is fenced off by `wharf_state::postgres`.

mod authority;
mod settings;
mod standby;
mod vault;

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use wharf_base::Tasks;
use wharf_state::Database;
use wharf_state::postgres::{Leader, Lease, Peer, Postgres};

use crate::config::Config;
use crate::output::Output;

pub(crate) use authority::shared_authority;
pub(crate) use settings::Settings;
pub(crate) use vault::shared_vault;

/// The lease, and the state that it opens.
pub(crate) struct Led {
    pub(crate) database: Database,
    pub(crate) lease: Lease,
    postgres: Postgres,
}

/// Waits until this server may act. Answers on `api.listen` until then.
///
/// Errors: settings that can't work, at the first try a PostgreSQL that can't be reached, and a server that lacks the key
/// of the state's secrets.
pub(crate) async fn stand_by(config: &Config, data: &Path, output: &Output) -> anyhow::Result<Led> {
    let postgres = Postgres::connect(config.state.options()?).await?;
    let peer = peer(config);
    let (leader, leader_seen) = watch::channel(None);
    let tasks = Tasks::new();
    let mut is_answering = false;
    let (reader, key_path) = (postgres.reader()?, vault::key_path(&config.state, data));
    loop {
        let key = vault::known_key(&reader, &key_path).await?;
        match postgres.try_lead(&peer).await {
            Ok(Ok((database, lease))) => {
                tracing::info!(term = lease.term(), "this server leads");
                if is_answering {
                    output.say("this server leads now")?;
                }
                // The ports are needed by what comes next.
                tasks.stop(Duration::from_secs(2)).await;
                return Ok(Led { database, lease, postgres });
            }
            Ok(Err(found)) => announce(&leader, found, output)?,
            Err(error) => tracing::warn!(%error, "the lease can't be asked for; trying again"),
        }
        if !is_answering {
            // Before any server has led there is none.
            let authority = authority::stored_authority(&reader, &data.join("ca"), key.as_ref()).await;
            let authority = authority.inspect_err(|error| tracing::debug!(error = %error, "no CA yet")).ok();
            is_answering = standby::answer(config, authority.flatten(), leader_seen.clone(), &tasks).await?;
        }
        tokio::time::sleep(config.state.lease / 4).await;
    }
}

fn announce(
    leader: &watch::Sender<Option<Leader>>,
    found: Option<Leader>,
    output: &Output,
) -> anyhow::Result<()> {
    let is_new =
        leader.borrow().as_ref().map(|leader| &leader.api) != found.as_ref().map(|leader| &leader.api);
    if let (Some(found), true) = (&found, is_new) {
        output.say(&format!("this server stands by; {} leads", found.api))?;
    }
    leader.send_replace(found);
    Ok(())
}

/// How others reach this server.
fn peer(config: &Config) -> Peer {
    let host = config.server.address.clone().unwrap_or_else(|| "127.0.0.1".to_owned());
    let scheme = if config.server.address.is_some() && !config.api.insecure { "https" } else { "http" };
    let port = |addresses: &[std::net::SocketAddr], usual: u16| addresses.first().map_or(usual, |a| a.port());
    Peer {
        id: uuid::Uuid::new_v4().simple().to_string(),
        api: format!("{scheme}://{host}:{}", port(&config.api.listen, 7700)),
        agents: format!("https://{host}:{}", port(&config.agents.listen, 7701)),
    }
}

impl Led {
    /// Keeps `fleet` informed of where agents find the other servers.
    pub(crate) fn tell_agents(&self, config: &Config, fleet: wharf_fleet::Handle, tasks: &Tasks) {
        let (postgres, every, shutdown) = (self.postgres.clone(), config.state.lease, tasks.shutdown());
        tasks.spawn("servers", async move {
            loop {
                match postgres.peers().await {
                    Ok(peers) => fleet.set_servers(peers.into_iter().map(|peer| peer.agents).collect()),
                    Err(error) => tracing::debug!(%error, "the list of servers can't be read"),
                }
                if shutdown.run_until_cancelled(tokio::time::sleep(every)).await.is_none() {
                    return;
                }
            }
        });
    }
}

/// Makes this process what it was when it was started: a standby, if another server leads.
pub(crate) fn start_again() -> anyhow::Error {
    let mut arguments = std::env::args_os();
    let name = arguments.next();
    let mut command = std::process::Command::new(Path::new("/proc/self/exe"));
    if let Some(name) = name {
        command.arg0(name);
    }
    // Returns only when it fails.
    let error = command.args(arguments).exec();
    anyhow::Error::new(error).context("this server does not lead any more and can't start again")
}

/// Reads a file that holds one secret.
fn secret(path: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.trim_end().to_owned())
}
