//! How the parts of the server are connected. Reads like the picture in ARCHITECTURE.md, from the bottom up.
//!
//! Each part gets its own settings and ports; no part knows another. What a part needs of another one is connected
//! here and nowhere else. The order is that of the arrows: what others read is started first.

mod api;
mod balancer_alone;
mod redacted;
mod registry_access;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use wharf_base::{Clock, SystemClock, Tasks};
use wharf_disk::DirLock;
use wharf_http::pki::{Authority, ClientAuth};
use wharf_model::Event;
use wharf_model::ports::{EventSink, ImagePlatforms};
use wharf_secrets::{Redactor, Vault};
use wharf_state::{Database, EventLog};

use crate::cli::Part;
use crate::config::Config;
use crate::images::Images;
use crate::lead::{Led, shared_authority, shared_vault};
use crate::{backup, pools};

use redacted::Redacted;

/// A server that runs; it ends when its tasks are stopped.
pub(crate) struct Server {
    /// Addresses for people, one line each.
    pub(crate) addresses: Vec<String>,
    _lock: Option<DirLock>,
}

/// What most parts need.
struct Ground {
    data: PathBuf,
    clock: Arc<dyn Clock>,
    database: Database,
    events: EventLog,
    authority: Arc<Authority>,
    vault: Arc<Vault>,
    access: wharf_access::Handle,
    /// Names and addresses in the certificates of listeners off loopback.
    names: Vec<String>,
}

/// Starts the parts that `only` names, or all.
pub(crate) async fn start(
    config: Config,
    data: &Path,
    only: &[Part],
    led: Option<&Led>,
    tasks: &Tasks,
) -> anyhow::Result<Server> {
    let parts: BTreeSet<Part> = match only {
        [] => BTreeSet::from([Part::Control, Part::Registry, Part::Balancer]),
        some => some.iter().copied().collect(),
    };
    if parts.iter().eq([&Part::Balancer]) {
        let (lock, addresses) = balancer_alone::start(config, data, tasks).await?;
        return Ok(Server { addresses, _lock: lock });
    }
    let lock = DirLock::acquire(data)?;
    backup::refuse_half_restored(data)?;
    anyhow::ensure!(
        parts.contains(&Part::Control) || !parts.contains(&Part::Balancer),
        "--only registry,balancer: a balancer beside a registry needs the control plane in the same process\n  hint: run two processes, or add `control`"
    );
    let ground = ground(&config, data, led, tasks).await?;
    let mut addresses = Vec::new();
    if parts.contains(&Part::Control) {
        control(config, &ground, led, &parts, &mut addresses, tasks).await?;
    } else {
        let access = registry_access::of(ground.access.clone(), None, None);
        registry(&config, &ground, access, &mut addresses, tasks).await?;
    }
    Ok(Server { addresses, _lock: Some(lock) })
}

async fn ground(config: &Config, data: &Path, led: Option<&Led>, tasks: &Tasks) -> anyhow::Result<Ground> {
    let data = std::path::absolute(data).with_context(|| format!("cannot use {}", data.display()))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let database = match led {
        Some(led) => led.database.clone(),
        None => Database::open(&backup::refuse_emptied(&data)?)?,
    };
    let events = EventLog::open(database.clone(), Arc::clone(&clock), tasks).await?;
    let vault = match led {
        Some(_) => shared_vault(&database, &config.state, &data).await?,
        None => Arc::new(Vault::open(&data.join("secrets"))?),
    };
    let authority = match led {
        Some(_) => Authority::clone(&*shared_authority(&database, &data.join("ca"), vault.key()).await?),
        None => Authority::load_or_create(&data.join("ca"))?,
    };
    let authority = Arc::new(authority.with(config.server.certificate_lifetime, Arc::clone(&clock)));
    // Containers that run print what they like: the values of kept releases are known from the start.
    let known = Arc::clone(&vault);
    Redactor::process().add(&tokio::task::spawn_blocking(move || known.all()).await?);
    let deps = wharf_access::Deps {
        database: database.clone(),
        events: events.clone(),
        clock: Arc::clone(&clock),
        data: data.clone(),
    };
    let access = wharf_access::start(config.access.clone(), deps, tasks).await?;
    Ok(Ground { data, clock, database, events, authority, vault, access, names: names(config) })
}

/// Everything under which a listener off loopback may be reached.
pub(crate) fn names(config: &Config) -> Vec<String> {
    let listeners = config.api.listen.iter().chain(&config.registry.listen).chain(&config.agents.listen);
    let mut names: BTreeSet<String> = listeners.map(|address| address.ip().to_string()).collect();
    names.extend(config.server.address.clone());
    names.extend(
        config.registry.address.as_ref().and_then(|address| Some(address.rsplit_once(':')?.0.to_owned())),
    );
    names.insert("localhost".to_owned());
    names.into_iter().collect()
}

async fn control(
    config: Config,
    ground: &Ground,
    led: Option<&Led>,
    parts: &BTreeSet<Part>,
    addresses: &mut Vec<String>,
    tasks: &Tasks,
) -> anyhow::Result<()> {
    let has_registry = parts.contains(&Part::Registry);
    let (clock, events) = (Arc::clone(&ground.clock), Arc::new(ground.events.clone()));
    if led.is_none() {
        backup::start(config.backup.clone(), ground.data.clone(), clock, events, tasks);
    }
    // `fleet` serves files that `deploy` keeps, and `deploy` needs `fleet`: the second half is filled in below.
    let deploy_later: Arc<OnceLock<wharf_deploy::Handle>> = Arc::default();
    let fleet = fleet(&config, ground, has_registry, Arc::clone(&deploy_later), tasks).await?;

    if let Some(led) = led {
        led.tell_agents(&config, fleet.clone(), tasks);
    }

    let builder_account = has_registry.then(registry_access::BuilderAccount::new).transpose()?;
    let registry = if has_registry {
        let access = registry_access::of(ground.access.clone(), Some(fleet.clone()), builder_account.clone());
        Some(registry(&config, ground, access, addresses, tasks).await?)
    } else {
        None
    };
    trust_own_registry(&config, ground, has_registry).await;
    let cache =
        if config.cache.enabled { Some(cache(&config, ground, addresses, tasks).await?) } else { None };

    let image_deps = wharf_image::Deps {
        engine: config.docker.socket.display().to_string(),
        credentials: builder_account.map(|account| account.credentials()),
        clock: Arc::clone(&ground.clock),
    };
    let image = wharf_image::start(config.image.clone(), image_deps, tasks);

    let mut balancers = vec![fleet.balancers()];
    let balancer = if parts.contains(&Part::Balancer) {
        let deps = wharf_balancer::Deps {
            clock: Arc::clone(&ground.clock),
            name: "local".to_owned(),
            dir: Some(ground.data.join("balancer")),
            tables: Some(fleet.tables()),
        };
        let balancer = wharf_balancer::start(config.balancer.clone(), deps, tasks).await?;
        addresses
            .extend(balancer.addresses().iter().map(|address| format!("applications  http://{address}")));
        balancers.insert(0, balancer.observed());
        Some(balancer)
    } else {
        None
    };

    let deploy_deps = wharf_deploy::Deps {
        hosts: Arc::new(fleet.clone()),
        calls: Arc::new(fleet.clone()),
        pools: Arc::new(pools::merge(balancers, tasks)),
        builder: Arc::new(image.clone()),
        platforms: registry.clone().map(|registry| Arc::new(registry) as Arc<dyn ImagePlatforms>),
        images: Arc::new(Images { builder: image.clone(), registry: registry.clone() }),
        events: Arc::new(Redacted(ground.events.clone())),
        database: ground.database.clone(),
        vault: Arc::clone(&ground.vault),
        clock: Arc::clone(&ground.clock),
        data: ground.data.join("deploy"),
        registry: config.registry.image_address(),
        fixed_routes: fixed_routes(&config, parts),
    };
    let deploy = wharf_deploy::start(config.deploy.clone(), deploy_deps, tasks).await?;
    deploy_later.get_or_init(|| deploy.clone());

    if config.docker.is_host {
        local_agent(&config, ground, &fleet, tasks).await?;
    }
    let router =
        api::router(api::Parts { access: &ground.access, fleet, deploy, image, registry, cache, balancer });
    listen(&config, ground, router, addresses, tasks).await?;
    ground.events.emit(Event::ServerStarted { version: env!("CARGO_PKG_VERSION").to_owned() });
    Ok(())
}

/// Places of the routes in wharf.yaml, where this process balances.
fn fixed_routes(config: &Config, parts: &BTreeSet<Part>) -> wharf_deploy::FixedRoutes {
    let place = |route: &wharf_balancer::StaticRoute| {
        (route.host.clone(), route.path.clone().unwrap_or_else(|| "/".to_owned()))
    };
    let routes = parts.contains(&Part::Balancer).then_some(&config.balancer.routes);
    wharf_deploy::FixedRoutes(routes.into_iter().flatten().map(place).collect())
}

async fn fleet(
    config: &Config,
    ground: &Ground,
    has_registry: bool,
    deploy: Arc<OnceLock<wharf_deploy::Handle>>,
    tasks: &Tasks,
) -> anyhow::Result<wharf_fleet::Handle> {
    let server_address = config.server.address.clone().unwrap_or_else(|| "127.0.0.1".to_owned());
    let is_open = config.server.address.is_some() && !config.api.insecure;
    let scheme = if is_open { "https" } else { "http" };
    let api_port = config.api.listen.first().map_or(7700, SocketAddr::port);
    let deps = wharf_fleet::Deps {
        database: ground.database.clone(),
        events: Arc::new(Redacted(ground.events.clone())),
        clock: Arc::clone(&ground.clock),
        authority: Arc::clone(&ground.authority),
        api_url: format!("{scheme}://{server_address}:{api_port}"),
        server_address,
        registry: has_registry.then(|| wharf_fleet::server::RegistryPlace {
            address: config.registry.image_address(),
            ca: registry_is_tls(config).then(|| ground.authority.certificate_pem().to_owned()),
        }),
        secrets: Arc::clone(&ground.vault),
        files: Arc::new(move |digest| deploy.get()?.upload_path(digest)),
        local_host: config.docker.is_host.then(|| wharf_fleet::server::LocalHost {
            name: config.docker.name.clone(),
            labels: config.docker.labels.clone(),
        }),
    };
    Ok(wharf_fleet::start(config.agents.clone(), deps, tasks).await?)
}

async fn registry(
    config: &Config,
    ground: &Ground,
    access: Arc<dyn wharf_model::ports::RegistryAccess>,
    addresses: &mut Vec<String>,
    tasks: &Tasks,
) -> anyhow::Result<wharf_registry::Handle> {
    let deps = wharf_registry::Deps {
        data: ground.data.clone(),
        access,
        tls: Some(ground.authority.server_config(&ground.names, ClientAuth::None)?),
        clock: Arc::clone(&ground.clock),
        events: Arc::new(ground.events.clone()),
    };
    let registry = wharf_registry::start(config.registry.clone(), deps, tasks).await?;
    addresses.extend(registry.addresses().iter().map(|address| format!("registry      {address}")));
    Ok(registry)
}

async fn cache(
    config: &Config,
    ground: &Ground,
    addresses: &mut Vec<String>,
    tasks: &Tasks,
) -> anyhow::Result<wharf_cache::Handle> {
    let deps = wharf_cache::Deps { data: ground.data.clone(), clock: Arc::clone(&ground.clock) };
    let cache = wharf_cache::start(config.cache.clone(), deps, tasks).await?;
    addresses.extend(cache.addresses().iter().map(|address| format!("packages      http://{address}")));
    Ok(cache)
}

/// Whether images are pulled over TLS: their name's host is not loopback and the registry has not been told otherwise.
fn registry_is_tls(config: &Config) -> bool {
    let address = config.registry.image_address();
    let host = address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host);
    let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let is_loopback = host == "localhost" || ip.is_ok_and(|ip| ip.is_loopback());
    !is_loopback && !config.registry.insecure
}

/// Lets this machine's Engine push to a registry that speaks TLS. Without it builds fail, with a message that says so;
/// the server itself can run.
async fn trust_own_registry(config: &Config, ground: &Ground, has_registry: bool) {
    if !has_registry || !registry_is_tls(config) {
        return;
    }
    let (folder, address) = (Path::new("/etc/docker/certs.d"), config.registry.image_address());
    if let Err(error) =
        wharf_docker::trust_registry(folder, &address, ground.authority.certificate_pem()).await
    {
        tracing::warn!(%error, "this machine's Docker Engine will not trust the registry; builds can't push");
    }
}

/// The agent of this machine's Engine: the same code and protocol as on other hosts, over a connection in memory.
async fn local_agent(
    config: &Config,
    ground: &Ground,
    fleet: &wharf_fleet::Handle,
    tasks: &Tasks,
) -> anyhow::Result<()> {
    let name = config.docker.name.clone();
    let deps = wharf_fleet::agent::AgentDeps {
        data: ground.data.join("agent"),
        connector: fleet.inside(name.clone()),
        host: name,
        published: None,
        registry: fleet.local_registry_account(),
        clock: Arc::clone(&ground.clock),
    };
    let agent = wharf_fleet::AgentConfig {
        engine: Some(config.docker.socket.display().to_string()),
        ..config.agent.clone()
    };
    wharf_fleet::agent::start(agent, deps, tasks).await?;
    Ok(())
}

async fn listen(
    config: &Config,
    ground: &Ground,
    router: axum::Router,
    addresses: &mut Vec<String>,
    tasks: &Tasks,
) -> anyhow::Result<()> {
    let listeners = wharf_http::bind("api.listen", &config.api.listen).await?;
    let tls = ground.authority.server_config(&ground.names, ClientAuth::None)?;
    let mut consoles = Vec::new();
    for listener in listeners {
        let address = listener.local_addr()?;
        let is_plain = address.ip().is_loopback() || config.api.insecure;
        let scheme = if is_plain { "http" } else { "https" };
        let places = reached_at(address, &ground.names);
        consoles.extend(places.into_iter().map(|place| format!("console, API  {scheme}://{place}")));
        let tls = (!is_plain).then(|| Arc::clone(&tls));
        let options = wharf_http::ServerOptions::default();
        wharf_http::serve("api", listener, tls, router.clone(), options, tasks);
    }
    addresses.splice(0..0, consoles);
    Ok(())
}

/// Where a browser can open a listener: its address or, if it has every address, the names of the certificate.
fn reached_at(address: SocketAddr, names: &[String]) -> Vec<String> {
    if !address.ip().is_unspecified() {
        return vec![address.to_string()];
    }
    let place = |name: &String| match name.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() => None,
        Ok(ip) => Some(SocketAddr::new(ip, address.port()).to_string()),
        Err(_) => Some(format!("{name}:{}", address.port())),
    };
    names.iter().filter_map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_shown_as_the_names_of_the_certificate() {
        let names = ["0.0.0.0", "10.0.0.1", "::1", "localhost"].map(str::to_owned);
        let shown = |address: &str| reached_at(address.parse().unwrap(), &names);
        assert_eq!(shown("0.0.0.0:77"), ["10.0.0.1:77", "[::1]:77", "localhost:77"]);
        assert_eq!(shown("10.0.0.2:77"), ["10.0.0.2:77"]);
    }
}
