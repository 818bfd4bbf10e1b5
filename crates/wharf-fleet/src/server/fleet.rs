//! The state of the server's side in memory, and the operations that change it.
//!
//! One short lock guards the hosts; nothing waits while it is held. Changes of the desired state and of the list of hosts
//! take a second, asynchronous lock for their whole length, so that they happen one after another.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wharf_base::{Digest, Shutdown, Tasks, UnixMillis};
use wharf_model::ports::RegistryUser;
use wharf_model::{
    BalancerView, Change, Drift, DriftOutcome, Event, Generation, HostReport, HostResources, HostView,
    Liveness, Name, Observed, PoolsObserved, Table,
};

use super::calls::Calls;
use super::parts::Parts;
use super::store::{HostRecord, Store};
use super::{Deps, LocalHost, blind, skew, validate};
use crate::protocol::{HostDesired, RegistryAccount};
use crate::token::{equal_in_constant_time, random_hex, secret_hash};
use crate::{Config, Error, Mismatch};

pub(crate) struct Fleet {
    pub(crate) config: Config,
    pub(crate) deps: Deps,
    pub(crate) agents_port: u16,
    pub(crate) store: Store,
    pub(crate) tasks: Tasks,
    pub(crate) parts: watch::Sender<Arc<Parts>>,
    pub(crate) observed: watch::Sender<Arc<Observed>>,
    pub(crate) tables: watch::Sender<Arc<Table>>,
    pub(crate) balancers: watch::Sender<Arc<PoolsObserved>>,
    pub(crate) local_account: Option<RegistryAccount>,
    pub(crate) calls: Calls,
    /// Where agents find all servers of the installation.
    pub(crate) servers: std::sync::RwLock<crate::protocol::Servers>,
    /// Something that the published values depend on has changed.
    pub(crate) changed: Notify,
    /// Held over a whole change of the desired state or the list of hosts.
    pub(crate) changing: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) hosts: BTreeMap<Name, Host>,
    by_fingerprint: HashMap<Digest, Name>,
    pub(crate) balancers: BTreeMap<Name, BalancerView>,
    /// Balancers that route by a table of which we know nothing yet: connected and not heard, or (until then) not back
    /// since the server's start. To `deploy` they have not followed.
    expected: BTreeMap<Name, Option<Instant>>,
}

/// A host, as far as memory needs it.
pub(crate) struct Host {
    pub(crate) record: HostRecord,
    pub(crate) report: Arc<HostReport>,
    /// When it was last stored, or at least when the host was seen then.
    stored: UnixMillis,
    /// Apart from the report: they change all the time and nothing is decided by them.
    resources: Option<HostResources>,
    /// Milliseconds that its clock is ahead.
    clock_skew_ms: Option<i64>,
    pub(crate) liveness: Liveness,
    /// When the liveness became what it is.
    since: UnixMillis,
    /// Open watch streams; more than one only while an agent reconnects.
    connections: u32,
    /// Address of its newest connection.
    from: Option<IpAddr>,
    /// Since when it is lost; at the server's start, the moment when its grace ends.
    pub(crate) lost_since: Option<Instant>,
    /// Why its agent was turned away, until it connects.
    refusal: Option<String>,
    /// Ends its streams when the host is removed.
    pub(crate) removed: CancellationToken,
}

/// A host that sent a request.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) id: String,
    pub(crate) name: Name,
    pub(crate) removed: CancellationToken,
}

/// Held by a watch stream; dropped when its connection ends in any way.
pub(crate) struct Connected {
    fleet: Arc<Fleet>,
    identity: Identity,
    shutdown: Shutdown,
}

impl Fleet {
    pub(crate) async fn load(
        config: Config,
        deps: Deps,
        agents_port: u16,
        tasks: Tasks,
    ) -> Result<Arc<Fleet>, Error> {
        let store = Store::open(deps.database.clone()).await?;
        let generation = store.newest().await?;
        let mut state = State::default();
        let grace_ends = Instant::now() + config.reconnect_grace;
        for (record, report) in store.hosts().await? {
            let mut host = Host::new(record, report);
            if host.record.last_seen > host.record.joined {
                host.liveness = Liveness::Lost;
                host.since = host.record.last_seen;
                host.lost_since = Some(grace_ends);
            }
            if super::is_balancer(&host.record.labels) {
                state.expected.insert(host.record.name.clone(), Some(grace_ends));
            }
            state.insert(host);
        }
        let local_account = match &deps.local_host {
            Some(local) => ensure_local(&store, &mut state, local, &deps).await?,
            None => None,
        };
        let first_version = u64::try_from(deps.clock.now().0).unwrap_or(0);
        let table = Table { version: first_version, generation: generation.number, routes: vec![] };
        Ok(Arc::new(Fleet {
            config,
            deps,
            agents_port,
            store,
            tasks,
            parts: watch::Sender::new(Arc::new(Parts::new(generation))),
            observed: watch::Sender::default(),
            // A balancer elsewhere keeps the newest version that it saw: versions must grow over restarts too.
            tables: watch::Sender::new(Arc::new(table)),
            balancers: watch::Sender::default(),
            local_account,
            servers: std::sync::RwLock::default(),
            calls: Calls::default(),
            changed: Notify::new(),
            changing: tokio::sync::Mutex::new(()),
            state: Mutex::new(state),
        }))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }

    pub(crate) fn views(&self) -> Vec<HostView> {
        let (parts, now) = (self.parts.borrow().clone(), self.deps.clock.now());
        let state = self.state();
        state.hosts.values().map(|host| host.view(parts.count(&host.record.name) as u32, now)).collect()
    }

    /// Hosts that are lost, and for how long; not those that may still come back after the server's own start.
    pub(crate) fn lost(&self) -> BTreeMap<Name, Duration> {
        let now = Instant::now();
        let state = self.state();
        let lost = state.hosts.values().filter(|host| host.liveness == Liveness::Lost);
        let since = lost.filter_map(|host| Some((host.record.name.clone(), host.lost_since?)));
        since.filter_map(|(name, since)| Some((name, now.checked_duration_since(since)?))).collect()
    }

    pub(crate) async fn commit(&self, change: Change) -> Result<u64, Error> {
        let _changing = self.changing.lock().await;
        self.commit_locked(change).await
    }

    async fn commit_locked(&self, change: Change) -> Result<u64, Error> {
        let current = self.generation();
        let hosts: BTreeSet<Name> = self.state().hosts.keys().cloned().collect();
        let now = self.deps.clock.now();
        // All of this grows with the installation, and agents are to be answered meanwhile.
        let prepared = crate::blocking(move || {
            let mut next = validate::apply(&current, change, &hosts)?;
            next.number = current.number + 1;
            next.created = now;
            Ok::<_, Error>(Parts::new(next))
        });
        let parts = prepared.await?;
        let next = Arc::clone(&parts.generation);
        self.store.append(Arc::clone(&next), self.config.generations_kept).await?;
        let (number, author, reason) = (next.number, next.author.clone(), next.reason.clone());
        tracing::info!(generation = number, author, reason, "generation made");
        self.deps.events.emit(Event::GenerationMade { generation: number, author, reason });
        self.parts.send_modify(|current| *current = Arc::new(current.succeeded_by(parts)));
        self.changed.notify_one();
        Ok(number)
    }

    /// The newest generation.
    pub(crate) fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.parts.borrow().generation)
    }

    /// One host's part of the newest generation.
    pub(crate) fn desired(&self, host: &Name) -> HostDesired {
        self.parts.borrow().of(host)
    }

    pub(crate) async fn drain(&self, name: &str, draining: bool, by: &str) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        let (id, name) = {
            let state = self.state();
            let host = state.hosts.get(name).ok_or_else(|| Error::NoSuchHost(name.to_owned()))?;
            if host.record.draining == draining {
                return Ok(());
            }
            (host.record.id.clone(), host.record.name.clone())
        };
        self.store.set_draining(id, draining).await?;
        if let Some(host) = self.state().hosts.get_mut(&name) {
            host.record.draining = draining;
        }
        self.deps.events.emit(Event::HostDrain { host: name, draining, by: by.to_owned() });
        self.changed.notify_one();
        Ok(())
    }

    pub(crate) async fn remove(&self, name: &str, force: bool, by: &str) -> Result<(), Error> {
        let _changing = self.changing.lock().await;
        let record = {
            let state = self.state();
            state.hosts.get(name).ok_or_else(|| Error::NoSuchHost(name.to_owned()))?.record.clone()
        };
        if record.fingerprint.is_none() {
            return Err(Error::Invalid(format!("`{name}` is the server's own host and cannot be removed")));
        }
        self.strip(&record.name, force, by).await?;
        self.store.remove_host(record.id).await?;
        let removed = self.state().take(&record.name);
        if let Some(host) = removed {
            host.removed.cancel();
        }
        self.deps.events.emit(Event::HostRemoved { host: record.name, by: by.to_owned() });
        self.changed.notify_one();
        Ok(())
    }

    /// Takes the host's instances out of the desired state, if that was asked for.
    async fn strip(&self, host: &Name, force: bool, by: &str) -> Result<(), Error> {
        let generation = self.generation();
        let on_host =
            |app: &wharf_model::AppDesired| app.instances.iter().filter(|one| one.host == *host).count();
        let instances: usize = generation.apps.values().map(on_host).sum();
        if instances > 0 && !force {
            return Err(Error::HostInUse { host: host.clone(), instances });
        }
        for (name, app) in generation.apps.iter().filter(|(_, app)| on_host(app) > 0) {
            let mut app = app.clone();
            app.instances.retain(|one| one.host != *host);
            app.images.retain(|one| one.host != *host);
            app.draining.retain(|id| app.instances.iter().any(|one| one.id == *id));
            // What waited for a service that was only there would never start: it no longer waits.
            let left: BTreeSet<Name> = app.instances.iter().map(|one| one.service.clone()).collect();
            app.instances.iter_mut().for_each(|one| one.after.retain(|service, _| left.contains(service)));
            let reason = format!("host {host} was removed");
            let change = Change { author: by.to_owned(), reason, app: name.clone(), desired: Some(app) };
            self.commit_locked(change).await?;
        }
        Ok(())
    }

    pub(crate) fn check_registry(&self, user: &str, password: &str) -> Option<RegistryUser> {
        let account = |name: &str| RegistryUser { name: name.to_owned(), may_push: false };
        if let Some(local) = self.local_account.as_ref().filter(|local| local.username == user) {
            return equal_in_constant_time(&local.password, password).then(|| account(user));
        }
        let state = self.state();
        let stored = state.hosts.get(user.strip_prefix(ACCOUNT_PREFIX)?)?.record.registry_hash.as_ref()?;
        equal_in_constant_time(stored, &secret_hash(password)).then(|| account(user))
    }

    /// Who is behind this certificate.
    ///
    /// Errors: `UnknownHost`; `CertificateExpired`, which the handshake finds as well, but not on a connection that was
    /// made before.
    pub(crate) fn identify(&self, fingerprint: &Digest) -> Result<Identity, Error> {
        let state = self.state();
        let host = state.by_fingerprint.get(fingerprint).and_then(|name| state.hosts.get(name));
        let host = host.ok_or(Error::UnknownHost)?;
        let newest = host.record.expires.filter(|_| host.record.fingerprint.as_ref() == Some(fingerprint));
        match newest {
            Some(expires) if expires <= self.deps.clock.now() => {
                Err(Error::CertificateExpired { host: host.record.name.clone(), expires })
            }
            _ => Ok(host.identity()),
        }
    }

    /// The host with this name, for connections inside of the process.
    pub(crate) fn identify_inside(&self, name: &str) -> Option<Identity> {
        self.state().hosts.get(name).map(Host::identity)
    }

    pub(crate) fn connected(
        self: &Arc<Fleet>,
        identity: Identity,
        from: Option<IpAddr>,
    ) -> Result<Connected, Error> {
        let (became_up, other) = {
            let mut state = self.state();
            let host = state.known(&identity).ok_or(Error::UnknownHost)?;
            host.connections += 1;
            host.refusal = None;
            let now = self.deps.clock.now();
            host.record.last_seen = now;
            let before = std::mem::replace(&mut host.from, from);
            let other = before.filter(|_| host.connections > 1 && before != from);
            (!host.is_back_unheard(Instant::now()) && host.rise(now), other)
        };
        if let (Some(one), Some(two)) = (other, from) {
            // A cloned disk has the same key, and both clones would fight over the same containers' names and reports.
            let message = format!("host {} is connected from {one} and {two} at once", identity.name);
            tracing::warn!(host = %identity.name, %one, %two, "one host is connected from two addresses");
            self.deps.events.emit(Event::Warning { part: "agents".to_owned(), message });
        }
        if became_up {
            self.tell_up(&identity.name);
        }
        Ok(Connected { fleet: Arc::clone(self), identity, shutdown: self.tasks.shutdown() })
    }

    /// Notes that a host's agent speaks no version of ours; people hear of it once, and `wharf host ls` shows it.
    pub(crate) fn refuse(&self, identity: &Identity, mismatch: &Mismatch) {
        let text = mismatch.to_string();
        {
            let mut state = self.state();
            let Some(host) = state.known(identity) else { return };
            if host.refusal.replace(text.clone()).as_ref() == Some(&text) {
                return;
            }
        }
        tracing::warn!(host = %identity.name, error = text, "an agent was refused");
        let message = format!("the agent of host {} was refused: {text}", identity.name);
        self.deps.events.emit(Event::Warning { part: "agents".to_owned(), message });
    }

    fn tell_up(&self, host: &Name) {
        tracing::info!(%host, "host is up");
        self.deps.events.emit(Event::HostUp { host: host.clone() });
        self.changed.notify_one();
    }

    /// Takes a report in: memory first, so that the table follows at once, then the disk.
    pub(crate) async fn report(&self, identity: &Identity, mut report: HostReport) -> Result<(), Error> {
        let now = self.deps.clock.now();
        let resources = report.resources.take();
        let skew = report.clock.take().map(|theirs| theirs.0 - now.0);
        let (report, before, became_up, is_stored, skew_before) = {
            let mut state = self.state();
            let host = state.known(identity).ok_or(Error::UnknownHost)?;
            let report = Arc::new(blind::keep_known(report, &host.report));
            host.record.last_seen = now;
            host.resources = resources;
            let skew_before = std::mem::replace(&mut host.clock_skew_ms, skew);
            let before = std::mem::replace(&mut host.report, Arc::clone(&report));
            // Most reports say what the one before said.
            let is_stored = before == report && now.since(host.stored) < STORED_AGE_MAX;
            if !is_stored {
                host.stored = now;
            }
            (report, before, host.connections > 0 && host.rise(now), is_stored, skew_before)
        };
        if became_up {
            self.tell_up(&identity.name);
        }
        if let Some(message) = skew::warning(&identity.name, skew_before, skew) {
            tracing::warn!("{message}");
            self.deps.events.emit(Event::Warning { part: "agents".to_owned(), message });
        }
        super::orphans::settle(self, &identity.name, &report);
        if *before != *report {
            self.changed.notify_one();
            self.tell_changes(&identity.name, &before, &report);
        }
        if is_stored {
            return Ok(());
        }
        if let Err(error) = self.store.put_report(identity.id.clone(), &report, now).await {
            // What is stored only bridges a restart of the server, and the next report comes within seconds. Failing
            // the call would make every agent reconnect, and its host look lost, because of our disk.
            tracing::warn!(host = %identity.name, %error, "a report was not stored");
            if let Some(host) = self.state().known(identity) {
                host.stored = UnixMillis(0);
            }
        }
        Ok(())
    }

    /// Takes in what a balancer counts. One that is not connected is left out.
    pub(crate) fn balancer_report(&self, identity: &Identity, view: BalancerView) -> Result<(), Error> {
        let mut state = self.state();
        let host = state.known(identity).ok_or(Error::UnknownHost)?;
        if host.liveness == Liveness::Up {
            state.balancers.insert(identity.name.clone(), view);
            state.expected.remove(&identity.name);
            self.changed.notify_one();
        }
        Ok(())
    }

    /// A balancer follows the tables from now on; what it does with them it tells later.
    pub(crate) fn expect_balancer(&self, identity: &Identity) {
        let mut state = self.state();
        if state.known(identity).is_some() && !state.balancers.contains_key(&identity.name) {
            state.expected.insert(identity.name.clone(), None);
            self.changed.notify_one();
        }
    }

    fn tell_changes(&self, host: &Name, before: &HostReport, after: &HostReport) {
        use wharf_model::InstanceState as State;
        let known: HashMap<&str, &State> =
            before.instances.iter().map(|one| (one.id.as_str(), &one.state)).collect();
        for instance in &after.instances {
            if known.get(instance.id.as_str()).is_some_and(|state| **state == instance.state) {
                continue;
            }
            let detail = match &instance.state {
                State::Unhealthy { reason } | State::Failed { reason } => reason.clone(),
                State::Exited { code } => format!("status {code}"),
                State::Waiting | State::Pulling | State::Starting | State::Healthy | State::Stopping => {
                    String::new()
                }
            };
            let app = Some(instance.app.clone());
            let (instance, state) = (instance.id.clone(), instance.state.word().to_owned());
            self.deps.events.emit(Event::InstanceChanged {
                host: host.clone(),
                app,
                instance,
                state,
                detail,
            });
        }
        for drift in &after.drifts {
            if drift.outcome == DriftOutcome::Repairing || before.drifts.contains(drift) {
                continue;
            }
            let Drift { app, instance, what, outcome, .. } = drift.clone();
            let (host, outcome) = (host.clone(), outcome.word().to_owned());
            self.deps.events.emit(Event::Drifted { host, app, instance, what, outcome });
        }
        if let (Some(problem), None) = (&after.problem, &before.problem) {
            let message = format!("host {host}: {problem}");
            self.deps.events.emit(Event::Warning { part: "agent".to_owned(), message });
        }
    }
}

/// A report that says nothing new is stored again after this time, for when the host was last seen: of a thousand hosts 17 a
/// second, not 100.
const STORED_AGE_MAX: Duration = Duration::from_secs(60);
/// User names of hosts at the registry begin so.
pub(crate) const ACCOUNT_PREFIX: &str = "host-";

/// Adds the server's own host, or brings its labels up to date. Returns its account at the registry, whose password
/// lives in memory only.
async fn ensure_local(
    store: &Store,
    state: &mut State,
    local: &LocalHost,
    deps: &Deps,
) -> Result<Option<RegistryAccount>, Error> {
    match state.hosts.get_mut(&local.name) {
        Some(host) if host.record.fingerprint.is_some() => return Err(Error::NameTaken(local.name.clone())),
        Some(host) if host.record.labels != local.labels => {
            store.set_labels(host.record.id.clone(), local.labels.clone()).await?;
            host.record.labels = local.labels.clone();
        }
        Some(_) => {}
        None => {
            let now = deps.clock.now();
            let record = HostRecord {
                id: random_hex(16),
                name: local.name.clone(),
                labels: local.labels.clone(),
                address: None,
                fingerprint: None,
                former: None,
                expires: None,
                registry_hash: None,
                draining: false,
                joined: now,
                last_seen: now,
            };
            store.put_host(record.clone(), false).await?;
            deps.events.emit(Event::HostJoined { host: local.name.clone() });
            state.insert(Host::new(record, HostReport::default()));
        }
    }
    Ok(deps.registry.as_ref().map(|registry| RegistryAccount {
        address: registry.address.clone(),
        ca: registry.ca.clone(),
        // No host can have this name: names have no two dashes in a row.
        username: format!("{ACCOUNT_PREFIX}-{}", local.name),
        password: random_hex(20),
    }))
}

impl State {
    pub(crate) fn insert(&mut self, host: Host) {
        for fingerprint in host.record.fingerprints() {
            self.by_fingerprint.insert(fingerprint.clone(), host.record.name.clone());
        }
        self.hosts.insert(host.record.name.clone(), host);
    }

    /// Gives a host its next certificate; what it had besides the one that it asked with is forgotten.
    pub(crate) fn certify(
        &mut self,
        identity: &Identity,
        fingerprint: Digest,
        asked_with: Digest,
        expires: UnixMillis,
    ) {
        let Some(host) = self.hosts.get_mut(&identity.name).filter(|host| host.record.id == identity.id)
        else {
            return;
        };
        for old in host.record.fingerprints() {
            self.by_fingerprint.remove(old);
        }
        host.record.fingerprint = Some(fingerprint);
        host.record.former = Some(asked_with);
        host.record.expires = Some(expires);
        for new in host.record.fingerprints() {
            self.by_fingerprint.insert(new.clone(), identity.name.clone());
        }
    }

    pub(crate) fn take(&mut self, name: &Name) -> Option<Host> {
        let host = self.hosts.remove(name)?;
        for fingerprint in host.record.fingerprints() {
            self.by_fingerprint.remove(fingerprint);
        }
        self.balancers.remove(name);
        self.expected.remove(name);
        Some(host)
    }

    /// Every balancer that routes, and when time alone will change that.
    pub(crate) fn pools(&self, now: Instant) -> (PoolsObserved, Option<Instant>) {
        let is_due = |until: &Option<Instant>| until.is_none_or(|until| now < until);
        let expected: Vec<_> = self.expected.iter().filter(|(_, until)| is_due(until)).collect();
        let silent = |name: &Name, until: &Option<Instant>| BalancerView {
            name: name.to_string(),
            is_awaited: until.is_some(),
            ..BalancerView::default()
        };
        let silent = expected.iter().map(|(name, until)| silent(name, until));
        let next = expected.iter().filter_map(|(_, until)| **until).min();
        (PoolsObserved { balancers: self.balancers.values().cloned().chain(silent).collect() }, next)
    }

    /// The host behind an identity, if it is still the same one.
    pub(crate) fn known(&mut self, identity: &Identity) -> Option<&mut Host> {
        self.hosts.get_mut(&identity.name).filter(|host| host.record.id == identity.id)
    }
}

impl Host {
    pub(crate) fn new(record: HostRecord, report: HostReport) -> Host {
        Host {
            since: record.joined,
            stored: record.last_seen,
            record,
            report: Arc::new(report),
            resources: None,
            clock_skew_ms: None,
            liveness: Liveness::Never,
            connections: 0,
            from: None,
            lost_since: None,
            refusal: None,
            removed: CancellationToken::new(),
        }
    }

    fn identity(&self) -> Identity {
        let removed = self.removed.clone();
        Identity { id: self.record.id.clone(), name: self.record.name.clone(), removed }
    }

    /// It was lost and has not reported since: what it said before is not believed any more, since its containers may have
    /// other addresses after a power loss. Within the grace after the server's own start it never was lost. Balancers
    /// send no such reports.
    fn is_back_unheard(&self, now: Instant) -> bool {
        self.liveness == Liveness::Lost
            && self.lost_since.is_some_and(|since| since <= now)
            && !super::is_balancer(&self.record.labels)
    }

    /// Makes it up. Returns whether it was not.
    fn rise(&mut self, now: UnixMillis) -> bool {
        self.lost_since = None;
        let rose = std::mem::replace(&mut self.liveness, Liveness::Up) != Liveness::Up;
        if rose {
            self.since = now;
        }
        rose
    }

    fn view(&self, instances_desired: u32, now: UnixMillis) -> HostView {
        let expired = self.record.expires.filter(|expires| *expires <= now && self.liveness != Liveness::Up);
        let expired = expired.map(|expires| {
            let host = self.record.name.clone();
            Error::CertificateExpired { host, expires }.to_string()
        });
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let report = &self.report;
        HostView {
            pulled_bytes: self.report.pulled_bytes,
            name: self.record.name.clone(),
            labels: self.record.labels.clone(),
            liveness: self.liveness,
            draining: self.record.draining,
            last_seen: self.record.last_seen,
            address: self.record.address.map(|address| address.to_string()),
            engine_version: known(&report.engine_version),
            agent_version: known(&report.agent_version),
            cpus: (report.cpus > 0).then_some(report.cpus),
            memory_bytes: (report.memory_bytes > 0).then_some(report.memory_bytes),
            generation: report.generation,
            instances_desired,
            instances_healthy: report.instances.iter().filter(|one| one.state.is_healthy()).count() as u32,
            since: Some(self.since),
            problem: expired.or_else(|| self.refusal.clone()).or_else(|| report.problem.clone()),
            certificate_expires: self.record.expires,
            generation_seen: report.generation_seen,
            architecture: known(&report.architecture),
            operating_system: known(&report.operating_system),
            kernel: known(&report.kernel),
            resources: self.resources.clone(),
            clock_skew_ms: self.clock_skew_ms,
        }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let lost = {
            let mut state = self.fleet.state();
            let Some(host) = state.known(&self.identity) else { return };
            host.connections -= 1;
            // When the server stops, its hosts are not lost: it is the one who leaves.
            let lost = host.connections == 0 && !self.shutdown.is_cancelled();
            if lost {
                host.liveness = Liveness::Lost;
                host.since = self.fleet.deps.clock.now();
                host.lost_since = Some(Instant::now());
                state.balancers.remove(&self.identity.name);
                state.expected.remove(&self.identity.name);
            }
            lost
        };
        if lost {
            tracing::warn!(host = %self.identity.name, "host is lost");
            self.fleet.deps.events.emit(Event::HostLost { host: self.identity.name.clone() });
            self.fleet.changed.notify_one();
        }
    }
}
