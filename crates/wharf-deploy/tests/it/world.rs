//! Hosts whose agents converge step by step, balancers that follow, a builder; each can be told to misbehave.
//!
//! The world outlives the server that is tested, as real hosts do. It watches all the time that every route of a
//! service that may run twice has a healthy target, and writes down when it has none.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use wharf_base::{Digest, ErrorCode, Tasks, UnixMillis};
use wharf_model::frame::Status;
use wharf_model::ports::{
    BuildRequest, BuiltImage, Calls, EventSink, Hosts, ImageBuilder, ImagePlatforms, ImageStore, Pools,
    PortError, Session,
};
use wharf_model::{
    BalancerView, Call, Change, Event, Frame, Generation, HostReport, HostView, ImageReport, ImageSpec,
    ImageState, Instance, InstanceReport, InstanceState, Liveness, Name, Observed, Platform, PoolsObserved,
    ReleaseTraffic,
};

/// What containers of an image do once they are started.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Behaviour {
    /// They become healthy.
    Healthy,
    /// They never pass a check.
    Unhealthy,
    /// They stay in `Starting`.
    Silent,
    /// They end with this status.
    Exit(i64),
    /// They can't be made.
    Fail,
    /// There is no such image.
    NoImage,
    /// The Engine starts them again and again.
    CrashLoop,
}

/// Where the server loses power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Before the nth commit from now takes effect.
    BeforeCommit(usize),
    /// After it took effect, before the server hears of it.
    AfterCommit(usize),
}

pub(crate) struct World {
    state: Mutex<State>,
    observed: watch::Sender<Arc<Observed>>,
    pools: watch::Sender<Arc<PoolsObserved>>,
    work: tokio::sync::Notify,
    told: watch::Sender<()>,
    /// True once the power is cut.
    pub(crate) is_cut: watch::Sender<bool>,
}

struct State {
    generation: Arc<Generation>,
    history: Vec<Arc<Generation>>,
    hosts: BTreeMap<Name, HostView>,
    lost: BTreeMap<Name, Instant>,
    reports: BTreeMap<Name, HostReport>,
    behaviours: Vec<(String, Behaviour)>,
    /// Hosts whose agents do nothing.
    frozen: BTreeSet<Name>,
    /// Hosts on which no container ends that is to be stopped.
    stuck: BTreeSet<Name>,
    balancers_follow: bool,
    in_flight: BTreeMap<u32, u64>,
    refuse_commits: usize,
    cut: Option<Cut>,
    build_fails: bool,
    build_hangs: bool,
    /// One-off commands that were run.
    commands: Vec<String>,
    /// How they end; `None`: they don't.
    command_status: Option<i64>,
    hanging: Vec<(mpsc::Receiver<Frame>, mpsc::Sender<Frame>)>,
    /// Of images by reference; of others nothing is known.
    platforms: BTreeMap<String, Vec<Platform>>,
    gaps: Vec<String>,
    events: Vec<Event>,
    /// What was removed from hosts, `web:r1@a`, and from registry and builder.
    removed: BTreeSet<String>,
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

impl World {
    /// A world with these hosts: `a`, `g1:green`.
    pub(crate) fn new(hosts: &[&str]) -> Arc<World> {
        let mut state = State {
            generation: Arc::default(),
            history: Vec::new(),
            hosts: BTreeMap::new(),
            lost: BTreeMap::new(),
            reports: BTreeMap::new(),
            behaviours: Vec::new(),
            frozen: BTreeSet::new(),
            stuck: BTreeSet::new(),
            balancers_follow: true,
            in_flight: BTreeMap::new(),
            refuse_commits: 0,
            cut: None,
            build_fails: false,
            build_hangs: false,
            commands: Vec::new(),
            command_status: Some(0),
            hanging: Vec::new(),
            platforms: BTreeMap::new(),
            gaps: Vec::new(),
            events: Vec::new(),
            removed: BTreeSet::new(),
        };
        for text in hosts {
            let (host, colour) = text.split_once(':').unwrap_or((text, ""));
            let labels = (!colour.is_empty()).then(|| ("colour".to_owned(), colour.to_owned()));
            let view =
                HostView { labels: labels.into_iter().collect(), ..HostView::new(name(host), Liveness::Up) };
            state.hosts.insert(name(host), view);
            state.reports.insert(name(host), HostReport::default());
        }
        let balancer = BalancerView { name: "local".to_owned(), ..BalancerView::default() };
        Arc::new(World {
            state: Mutex::new(state),
            observed: watch::Sender::default(),
            pools: watch::Sender::new(Arc::new(PoolsObserved { balancers: vec![balancer] })),
            work: tokio::sync::Notify::new(),
            told: watch::Sender::new(()),
            is_cut: watch::Sender::new(false),
        })
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let value = change(&mut self.state.lock().unwrap());
        self.work.notify_one();
        value
    }

    /// Containers whose image contains `part` do this from now on.
    pub(crate) fn behave(&self, part: &str, behaviour: Behaviour) {
        self.with(|state| state.behaviours.insert(0, (part.to_owned(), behaviour)));
    }

    pub(crate) fn set_liveness(&self, host: &str, liveness: Liveness) {
        self.with(|state| {
            state.hosts.get_mut(&name(host)).unwrap().liveness = liveness;
            match liveness {
                Liveness::Lost => state.lost.insert(name(host), Instant::now()),
                Liveness::Up | Liveness::Never => state.lost.remove(&name(host)),
            };
        });
    }

    /// The host is removed, as by `wharf host rm --force`: its instances leave the desired state.
    pub(crate) fn remove_host(&self, host: &str) {
        self.with(|state| {
            let host = name(host);
            state.hosts.remove(&host);
            state.reports.remove(&host);
            state.lost.remove(&host);
            let mut next = (*state.generation).clone();
            next.number += 1;
            for app in next.apps.values_mut() {
                app.instances.retain(|one| one.host != host);
            }
            state.generation = Arc::new(next);
        });
    }

    /// What runs: `web-r1-1@a` of every host that is not off, whatever is desired.
    pub(crate) fn running(&self) -> Vec<String> {
        self.with(|state| {
            let reports = state
                .reports
                .iter()
                .flat_map(|(host, report)| report.instances.iter().map(move |one| (host, one)));
            let running = reports.filter(|(_, one)| one.state != InstanceState::Stopping);
            running
                .map(|(host, one)| format!("{}-r{}-{}@{host}", one.service, one.release, one.slot))
                .collect()
        })
    }

    pub(crate) fn set_draining(&self, host: &str) {
        self.with(|state| state.hosts.get_mut(&name(host)).unwrap().draining = true);
    }

    pub(crate) fn freeze(&self, host: &str, is_frozen: bool) {
        self.with(|state| match is_frozen {
            true => state.frozen.insert(name(host)),
            false => state.frozen.remove(&name(host)),
        });
    }

    pub(crate) fn stops_hang(&self, host: &str, hang: bool) {
        self.with(|state| match hang {
            true => state.stuck.insert(name(host)),
            false => state.stuck.remove(&name(host)),
        });
    }

    /// The agent of `host` reports this problem from now on; comes back once it is known.
    pub(crate) async fn set_problem(&self, host: &str, problem: Option<&str>) {
        let problem = problem.map(str::to_owned);
        self.with(|state| state.reports.get_mut(&name(host)).unwrap().problem.clone_from(&problem));
        let mut observed = self.observed.subscribe();
        let is_known = |observed: &Arc<Observed>| {
            observed.hosts.get(&name(host)).is_some_and(|(_, report)| report.problem == problem)
        };
        observed.wait_for(is_known).await.unwrap();
    }

    pub(crate) fn balancers_follow(&self, follow: bool) {
        self.with(|state| state.balancers_follow = follow);
    }

    /// Requests in flight to a release, until told otherwise.
    pub(crate) fn in_flight(&self, release: u32, count: u64) {
        self.with(|state| state.in_flight.insert(release, count));
    }

    pub(crate) fn refuse_commits(&self, count: usize) {
        self.with(|state| state.refuse_commits = count);
    }

    pub(crate) fn cut_at(&self, cut: Option<Cut>) {
        self.is_cut.send_replace(false);
        self.with(|state| state.cut = cut);
    }

    pub(crate) fn build_fails(&self, fails: bool) {
        self.with(|state| state.build_fails = fails);
    }

    /// An image is for this platform, and a host has a processor of `architecture`.
    pub(crate) fn is_for(&self, image: &str, platform: &str, host: &str, architecture: &str) {
        let platforms = Platform::parse(platform).into_iter().collect();
        self.with(|state| {
            state.platforms.insert(image.to_owned(), platforms);
            state.hosts.get_mut(&name(host)).unwrap().architecture = Some(architecture.to_owned());
        });
    }

    pub(crate) fn build_hangs(&self, hangs: bool) {
        self.with(|state| state.build_hangs = hangs);
    }

    /// How one-off commands end from now on; `None`: they don't.
    pub(crate) fn commands_end(&self, status: Option<i64>) {
        self.with(|state| state.command_status = status);
    }

    /// One-off commands that were run: `migrate in v1 on a beside db`.
    pub(crate) fn commands(&self) -> Vec<String> {
        self.with(|state| state.commands.clone())
    }

    /// Whether the callers of the commands that hang have gone away.
    pub(crate) async fn callers_are_gone(&self) {
        let hanging = self.with(|state| std::mem::take(&mut state.hanging));
        for (_, outputs) in &hanging {
            outputs.closed().await;
        }
    }

    pub(crate) fn gaps(&self) -> Vec<String> {
        self.with(|state| state.gaps.clone())
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        self.with(|state| state.events.clone())
    }

    /// Images that were removed so far, those of hosts with `on HOST`.
    pub(crate) fn removed(&self) -> Vec<String> {
        self.with(|state| state.removed.iter().cloned().collect())
    }

    pub(crate) fn history(&self) -> Vec<Arc<Generation>> {
        self.with(|state| state.history.clone())
    }

    /// `web-r1-1@a` of the newest generation, and the releases that routes point to.
    pub(crate) fn desired(&self) -> (Vec<String>, Vec<u32>) {
        let generation = self.generation();
        let apps = generation.apps.values();
        let instances = apps.clone().flat_map(|app| &app.instances);
        let show = |one: &Instance| format!("{}-r{}-{}@{}", one.service, one.release, one.slot, one.host);
        (instances.map(show).collect(), apps.flat_map(|app| &app.routes).map(|route| route.release).collect())
    }

    /// Changes with every event.
    pub(crate) fn told(&self) -> watch::Receiver<()> {
        self.told.subscribe()
    }

    /// Waits until a deploy of this kind begins.
    pub(crate) async fn begun(&self, kind: &str) -> u64 {
        let mut told = self.told.subscribe();
        loop {
            let begun = self.events().into_iter().find_map(|event| match event {
                Event::DeployStarted { deploy, what, .. } if what == kind => Some(deploy),
                _ => None,
            });
            match begun {
                Some(deploy) => return deploy,
                None => told.changed().await.unwrap(),
            }
        }
    }

    /// Waits until the agents have heard of a generation that was made for this reason.
    pub(crate) async fn committed(&self, reason: &str) {
        let mut observed = self.observed.subscribe();
        while !self.history().iter().any(|generation| generation.reason == reason) {
            observed.changed().await.unwrap();
        }
    }

    /// Runs the agents and balancers until `tasks` stops.
    pub(crate) fn run(self: &Arc<World>, tasks: &Tasks) {
        let (world, shutdown) = (Arc::clone(self), tasks.shutdown());
        tasks.spawn("world", async move {
            loop {
                let has_moved = world.step();
                tokio::task::yield_now().await;
                if !has_moved {
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = world.work.notified() => {}
                    }
                }
            }
        });
    }

    /// One step of every agent and balancer. Whether anything has changed.
    fn step(&self) -> bool {
        let mut state = self.state.lock().unwrap();
        let generation = Arc::clone(&state.generation);
        let mut reports = state.reports.clone();
        for (host, report) in &mut reports {
            if state.hosts[host].liveness != Liveness::Up || state.frozen.contains(host) {
                continue;
            }
            report.generation_seen = generation.number;
            let wanted: Vec<(&Name, &Instance)> = generation
                .apps
                .iter()
                .flat_map(|(app, desired)| desired.instances.iter().map(move |one| (app, one)))
                .filter(|(_, one)| one.host == *host)
                .collect();
            let is_wanted = |report: &InstanceReport| wanted.iter().any(|(_, one)| one.id == report.id);
            // What goes is reported as stopping once, then not at all.
            let is_stuck = state.stuck.contains(host);
            report.instances.retain(|one| is_stuck || is_wanted(one) || one.state != InstanceState::Stopping);
            for one in &mut report.instances {
                if !wanted.iter().any(|(_, wanted)| wanted.id == one.id) {
                    one.state = InstanceState::Stopping;
                }
            }
            for (app, instance) in wanted {
                match report.instances.iter_mut().find(|one| one.id == instance.id) {
                    Some(one) => advance(one, &behaviour(&state.behaviours, &instance.spec.image)),
                    None => report.instances.push(first_report(app, instance)),
                }
            }
            let images = generation.apps.values().flat_map(|app| &app.images).filter(|one| one.host == *host);
            report.images = images.map(|one| image_report(one, &state.behaviours)).collect();
            let is_settled = report.instances.iter().all(|one| one.state != InstanceState::Stopping);
            if is_settled {
                report.generation = generation.number;
            }
        }
        let mut has_moved = reports != state.reports;
        state.reports = reports;
        let observed = Observed {
            generation: generation.number,
            hosts: state
                .reports
                .iter()
                .map(|(host, report)| (host.clone(), (state.hosts[host].liveness, report.clone())))
                .collect(),
        };
        let gaps = gaps(&generation, &observed);
        state.gaps.extend(gaps);
        let observed = Arc::new(observed);
        if *self.observed.borrow() != observed {
            self.observed.send_replace(observed);
        }

        let mut balancer = self.pools.borrow().balancers[0].clone();
        if state.balancers_follow {
            balancer.generation = generation.number;
        }
        balancer.draining =
            generation.apps.values().flat_map(|app| &app.draining).map(|id| (id.clone(), 0)).collect();
        balancer.traffic = state
            .in_flight
            .iter()
            .map(|(release, in_flight)| ReleaseTraffic {
                app: "shop".to_owned(),
                service: "web".to_owned(),
                release: *release,
                in_flight: *in_flight,
                ..ReleaseTraffic::default()
            })
            .collect();
        let pools = Arc::new(PoolsObserved { balancers: vec![balancer] });
        if *self.pools.borrow() != pools {
            has_moved = true;
            self.pools.send_replace(pools);
        }
        has_moved
    }
}

fn behaviour(behaviours: &[(String, Behaviour)], image: &str) -> Behaviour {
    let found = behaviours.iter().find(|(part, _)| image.contains(part));
    found.map_or(Behaviour::Healthy, |(_, behaviour)| behaviour.clone())
}

fn image_report(wanted: &ImageSpec, behaviours: &[(String, Behaviour)]) -> ImageReport {
    let state = match behaviour(behaviours, &wanted.image) {
        Behaviour::NoImage => ImageState::Failed { reason: "not found".to_owned() },
        _ => ImageState::Present,
    };
    ImageReport { image: wanted.image.clone(), state }
}

fn first_report(app: &Name, instance: &Instance) -> InstanceReport {
    InstanceReport {
        id: instance.id.clone(),
        app: app.clone(),
        service: instance.service.clone(),
        release: instance.release,
        slot: instance.slot,
        state: InstanceState::Pulling,
        address: None,
        container_id: None,
        since: UnixMillis(0),
        restarts: 0,
        log_tail: Vec::new(),
    }
}

fn advance(report: &mut InstanceReport, behaviour: &Behaviour) {
    report.state = match (&report.state, behaviour) {
        (InstanceState::Pulling, Behaviour::Fail) => {
            InstanceState::Failed { reason: "no such file".to_owned() }
        }
        (InstanceState::Pulling, Behaviour::NoImage) => {
            InstanceState::Failed { reason: "pull: not found".to_owned() }
        }
        (InstanceState::Pulling, _) => InstanceState::Starting,
        (InstanceState::Starting, Behaviour::Healthy) => InstanceState::Healthy,
        (InstanceState::Starting, Behaviour::Unhealthy) => {
            report.log_tail = vec!["listening on the wrong port".to_owned()];
            InstanceState::Unhealthy { reason: "connection refused".to_owned() }
        }
        (InstanceState::Starting, Behaviour::Exit(code)) => {
            report.log_tail = vec!["panic".to_owned()];
            InstanceState::Exited { code: *code }
        }
        (InstanceState::Starting, Behaviour::CrashLoop) => InstanceState::Exited { code: 1 },
        (InstanceState::Exited { .. }, Behaviour::CrashLoop) if report.restarts < 3 => {
            report.restarts += 1;
            InstanceState::Starting
        }
        (state, _) => state.clone(),
    };
}

/// Routes whose release has no healthy target that is to stay. Services with a fixed name may have a gap.
fn gaps(generation: &Generation, observed: &Observed) -> Vec<String> {
    let mut gaps = Vec::new();
    for desired in generation.apps.values() {
        for route in &desired.routes {
            let targets: Vec<&Instance> = desired
                .instances
                .iter()
                .filter(|one| one.service == route.service && one.release == route.release)
                .filter(|one| !desired.draining.contains(&one.id))
                .collect();
            let is_healthy = |one: &&Instance| {
                observed.instance(&one.host, &one.id).is_some_and(|report| report.state.is_healthy())
            };
            let may_have_gap = targets.iter().any(|one| one.spec.container_name.is_some());
            if !may_have_gap && !targets.iter().any(is_healthy) {
                gaps.push(format!("generation {}: {} has no target", generation.number, route.service));
            }
        }
    }
    gaps
}

#[async_trait]
impl Hosts for World {
    fn hosts(&self) -> Vec<HostView> {
        let state = self.state.lock().unwrap();
        let mut hosts: Vec<HostView> = state.hosts.values().cloned().collect();
        for host in &mut hosts {
            let instances = state.generation.apps.values().flat_map(|app| &app.instances);
            host.instances_desired = instances.filter(|one| one.host == host.name).count() as u32;
        }
        hosts
    }

    fn generation(&self) -> Arc<Generation> {
        Arc::clone(&self.state.lock().unwrap().generation)
    }

    async fn commit(&self, change: Change) -> Result<u64, PortError> {
        // A commit takes its time.
        tokio::task::yield_now().await;
        let outcome = self.with(|state| {
            if state.refuse_commits > 0 {
                state.refuse_commits -= 1;
                return Err(PortError::new(ErrorCode::Unavailable, "the disk refuses"));
            }
            let mut ids = BTreeSet::new();
            let instances = || change.desired.iter().flat_map(|desired| &desired.instances);
            let services: BTreeSet<&Name> = instances().map(|one| &one.service).collect();
            for instance in instances() {
                let waits = instance.after.keys().all(|service| services.contains(service));
                assert!(waits, "{} waits for nobody", instance.id);
                assert!(state.hosts.contains_key(&instance.host), "unknown host {}", instance.host);
                assert!(ids.insert(instance.id.clone()), "{} twice", instance.id);
            }
            let is_last = match &mut state.cut {
                Some(Cut::BeforeCommit(left) | Cut::AfterCommit(left)) => {
                    *left = left.saturating_sub(1);
                    *left == 0
                }
                None => false,
            };
            let is_cut = if is_last { state.cut.take() } else { None };
            if matches!(is_cut, Some(Cut::BeforeCommit(_))) {
                return Ok(None);
            }
            let mut next = (*state.generation).clone();
            next.number += 1;
            next.author = change.author;
            next.reason = change.reason;
            match change.desired {
                Some(desired) => next.apps.insert(change.app, desired),
                None => next.apps.remove(&change.app),
            };
            state.generation = Arc::new(next);
            state.history.push(Arc::clone(&state.generation));
            Ok(is_cut.is_none().then_some(state.generation.number))
        })?;
        match outcome {
            Some(number) => Ok(number),
            None => {
                self.is_cut.send_replace(true);
                std::future::pending().await
            }
        }
    }

    fn observed(&self) -> watch::Receiver<Arc<Observed>> {
        self.observed.subscribe()
    }

    fn lost(&self) -> BTreeMap<Name, Duration> {
        let state = self.state.lock().unwrap();
        state.lost.iter().map(|(host, since)| (host.clone(), since.elapsed())).collect()
    }
}

impl Pools for World {
    fn observed(&self) -> watch::Receiver<Arc<PoolsObserved>> {
        self.pools.subscribe()
    }
}

#[async_trait]
impl ImageBuilder for World {
    async fn build(
        &self,
        request: BuildRequest,
        output: mpsc::Sender<String>,
    ) -> Result<BuiltImage, PortError> {
        let content = std::fs::read(&request.context).unwrap();
        for line in ["Step 1/1 : FROM scratch", "done"] {
            let _ = output.send(line.to_owned()).await;
        }
        if self.with(|state| state.build_hangs) {
            std::future::pending::<()>().await;
        }
        if self.with(|state| state.build_fails) {
            return Err(PortError::new(ErrorCode::InvalidArgument, "COPY failed: no such file"));
        }
        // The same context gives the same image, under whatever tag.
        let repository = request.reference.rsplit_once(':').unwrap().0.to_owned();
        let tag = String::from_utf8(content).unwrap();
        let digest: Digest = format!("sha256:{:0>64}", wharf_base::hex(tag.as_bytes())).parse().unwrap();
        Ok(BuiltImage { reference: format!("{repository}:{tag}@{digest}"), digest })
    }
}

#[async_trait]
impl ImagePlatforms for World {
    async fn platforms(&self, reference: &str) -> Vec<Platform> {
        self.with(|state| state.platforms.get(reference).cloned().unwrap_or_default())
    }
}

impl EventSink for World {
    fn emit(&self, event: Event) {
        self.with(|state| state.events.push(event));
        self.told.send_replace(());
    }
}

#[async_trait]
impl ImageStore for World {
    async fn remove(&self, reference: &str) -> Result<(), PortError> {
        self.with(|state| state.removed.insert(reference.to_owned()));
        Ok(())
    }
}

/// Agents of this world run commands that say what they are told to, and remove images; everything else is tested with
/// real ones.
#[async_trait]
impl Calls for World {
    async fn call(&self, host: &Name, call: Call) -> Result<Session, PortError> {
        let ((input, inputs), (outputs, output)) = (mpsc::channel(8), mpsc::channel(8));
        let call = match call {
            Call::Run(call) => call,
            Call::RemoveImages(images) => {
                let all = images.built.into_iter().chain(images.pulled);
                self.with(|state| state.removed.extend(all.map(|image| format!("{image} on {host}"))));
                outputs.try_send(Frame::Status(Status::Exited { code: 0 })).unwrap();
                return Ok(Session { input, output });
            }
            Call::Exec(_) | Call::Logs(_) => {
                return Err(PortError::new(ErrorCode::Unavailable, format!("host `{host}` takes no calls")));
            }
        };
        let command = call.instance.spec.command.clone().unwrap_or_default().join(" ");
        let frames = [
            Frame::Status(Status::Started { instance: call.id.clone(), host: host.to_string() }),
            Frame::Stdout(bytes::Bytes::from(format!("{command}: on its way\nand ther"))),
            Frame::Stdout(bytes::Bytes::from_static(b"e")),
        ];
        frames.into_iter().for_each(|frame| outputs.try_send(frame).unwrap());
        self.with(|state| {
            let there: BTreeSet<String> = state
                .reports
                .values()
                .flat_map(|report| &report.instances)
                .filter(|one| one.state.is_healthy())
                .map(|one| one.service.to_string())
                .collect();
            let there = there.into_iter().collect::<Vec<_>>().join("+");
            let image = &call.instance.spec.image;
            state.commands.push(format!("{command} in {image} on {host} beside {there}"));
            match state.command_status {
                Some(code) => outputs.try_send(Frame::Status(Status::Exited { code })).unwrap(),
                None => state.hanging.push((inputs, outputs)),
            }
        });
        Ok(Session { input, output })
    }
}
