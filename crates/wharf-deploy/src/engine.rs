//! What every step of a rollout works with: configuration, ports, tables, and the deploys that run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use wharf_base::{Backoff, Clock, Tasks, power_loss};
use wharf_model::ports::{
    Calls, EventSink, Hosts, ImageBuilder, ImagePlatforms, ImageStore, Pools, PortError,
};
use wharf_model::{AppDesired, Change, Event, Generation, Name};
use wharf_secrets::{Redactor, Vault};
use wharf_state::Database;

use crate::api::StepView;
use crate::host_index::HostIndex;
use crate::losses::{self, Losses};
use crate::rollout::Halt;
use crate::run::Run;
use crate::store::Store;
use crate::uploads::Uploads;
use crate::world::World;
use crate::{Config, FixedRoutes, plan};

/// What this part needs of others.
pub struct Deps {
    /// Hosts and desired state.
    pub hosts: Arc<dyn Hosts>,
    /// Containers on any host.
    pub calls: Arc<dyn Calls>,
    /// Balancers.
    pub pools: Arc<dyn Pools>,
    /// Builder of images.
    pub builder: Arc<dyn ImageBuilder>,
    /// What images are for; `None` where nobody knows it.
    pub platforms: Option<Arc<dyn ImagePlatforms>>,
    /// Where built images lie besides the hosts.
    pub images: Arc<dyn ImageStore>,
    /// Where events go.
    pub events: Arc<dyn EventSink>,
    /// The state database.
    pub database: Database,
    /// Values of secrets, sealed.
    pub vault: Arc<Vault>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Directory for uploads; made if it is missing.
    pub data: PathBuf,
    /// Registry in names of built images: `127.0.0.1:5000`.
    pub registry: String,
    /// Routes of wharf.yaml on this server's own balancer.
    pub fixed_routes: FixedRoutes,
}

/// This part, running.
pub(crate) struct Engine {
    pub(crate) config: Config,
    pub(crate) hosts: Arc<dyn Hosts>,
    pub(crate) calls: Arc<dyn Calls>,
    pub(crate) pools: Arc<dyn Pools>,
    pub(crate) builder: Arc<dyn ImageBuilder>,
    pub(crate) platforms: Option<Arc<dyn ImagePlatforms>>,
    pub(crate) images: Arc<dyn ImageStore>,
    pub(crate) vault: Arc<Vault>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) registry: String,
    pub(crate) fixed_routes: FixedRoutes,
    pub(crate) store: Store,
    pub(crate) uploads: Uploads,
    pub(crate) tasks: Tasks,
    events: Arc<dyn EventSink>,
    runs: Mutex<BTreeMap<u64, Arc<Run>>>,
    /// Held while a deploy is in its table and not yet in `runs`.
    pub(crate) starting: tokio::sync::Mutex<()>,
}

impl Engine {
    pub(crate) fn new(config: Config, deps: Deps, store: Store, uploads: Uploads, tasks: Tasks) -> Engine {
        Engine {
            config,
            hosts: deps.hosts,
            calls: deps.calls,
            pools: deps.pools,
            builder: deps.builder,
            platforms: deps.platforms,
            images: deps.images,
            vault: deps.vault,
            clock: deps.clock,
            registry: deps.registry,
            fixed_routes: deps.fixed_routes,
            store,
            uploads,
            tasks,
            events: deps.events,
            runs: Mutex::default(),
            starting: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) fn emit(&self, event: Event) {
        self.events.emit(event);
    }

    /// The deploys that run, by id.
    pub(crate) fn runs(&self) -> Vec<Arc<Run>> {
        self.runs.lock().expect("no holder panics").values().cloned().collect()
    }

    pub(crate) fn run(&self, id: u64) -> Option<Arc<Run>> {
        self.runs.lock().expect("no holder panics").get(&id).cloned()
    }

    pub(crate) fn add_run(&self, run: Arc<Run>) {
        self.runs.lock().expect("no holder panics").insert(run.id, run);
    }

    pub(crate) fn remove_run(&self, id: u64) {
        self.runs.lock().expect("no holder panics").remove(&id);
    }

    /// What `app` is to be in the newest generation.
    pub(crate) fn desired(&self, app: &Name) -> Option<AppDesired> {
        self.hosts.generation().apps.get(app).cloned()
    }

    /// The lost hosts, and which of them are given up.
    pub(crate) fn losses(&self) -> Losses {
        let after = self.config.reschedule.then_some(self.config.reschedule_after);
        losses::judge(&self.hosts.hosts(), &self.hosts.lost(), after)
    }

    /// What a plan for `app` depends on, as it is now.
    pub(crate) async fn world_of(&self, app: &Name) -> World {
        let generation = self.hosts.generation();
        let (hosts, observed) = (self.hosts.hosts(), self.hosts.observed().borrow().clone());
        let app = app.clone();
        let look = move || {
            let load = load_of_others(&generation, &app);
            World::of(&app, &generation, &hosts, &observed, load)
        };
        crate::blocking(look).await
    }

    /// Makes `desired` the newest state of the run's application and returns the generation. Does nothing if it is.
    ///
    /// Tried again while the other side is unavailable, at most `commit_tries_max` times. Never dropped half way:
    /// callers must not put it into a `select!`.
    pub(crate) async fn commit(
        &self,
        run: &Run,
        desired: &Option<AppDesired>,
        stage: &str,
    ) -> Result<u64, PortError> {
        let desired = self.possible(desired);
        let newest = self.hosts.generation();
        if newest.apps.get(&run.app) == desired.as_ref() {
            return Ok(newest.number);
        }
        let reason = format!("{} {} release {}: {stage}", run.what.as_str(), run.app, run.release());
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(5), run.id);
        let mut tries = 1;
        loop {
            let change = Change {
                author: run.by.clone(),
                reason: reason.clone(),
                app: run.app.clone(),
                desired: desired.clone(),
            };
            match self.hosts.commit(change).await {
                Ok(generation) => {
                    power_loss(|| format!("{} {stage} committed", run.what.as_str()));
                    return Ok(generation);
                }
                Err(error)
                    if error.code == wharf_base::ErrorCode::Unavailable
                        && tries < self.config.commit_tries_max
                        && !self.tasks.shutdown().is_cancelled() =>
                {
                    tracing::warn!(%error, tries, "a generation could not be stored, trying again");
                    tries += 1;
                    tokio::time::sleep(backoff.next_wait()).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// A stage without the hosts that were removed since it was planned.
    pub(crate) fn possible(&self, desired: &Option<AppDesired>) -> Option<AppDesired> {
        desired.clone().map(|desired| plan::only_on(desired, &HostIndex::of(&self.hosts.hosts())))
    }

    /// Runs a step: says that it began, does `work`, says how it ended, and stores that.
    pub(crate) async fn step<T>(
        &self,
        run: &Run,
        name: &str,
        detail: String,
        work: impl Future<Output = Result<(T, String), Halt>>,
    ) -> Result<T, Halt> {
        let began = Instant::now();
        self.tell(run, StepView { step: name.to_owned(), detail, ended: false, failed: false, millis: 0 });
        power_loss(|| format!("{} {name} begins", run.what.as_str()));
        let (result, detail) = match work.await {
            Ok((value, detail)) => (Ok(value), detail),
            // A step that a restarted server will take up again has not ended.
            Err(Halt::Stopping) => return Err(Halt::Stopping),
            Err(halt) => {
                let detail = halt.to_string();
                (Err(halt), detail)
            }
        };
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let failed = result.is_err();
        self.tell(run, StepView { step: name.to_owned(), detail, ended: true, failed, millis });
        if let Err(error) = self.store.progress(run.id, run.journal.progress()).await {
            // The deploy itself is not in danger: its phases are stored elsewhere and with care.
            tracing::warn!(%error, deploy = run.id, "the progress of a deploy could not be stored");
        }
        power_loss(|| format!("{} {name} done", run.what.as_str()));
        result
    }

    /// Tells more about the step that runs.
    pub(crate) fn detail(&self, run: &Run, detail: String) {
        if let Some(open) = run.journal.open_step().filter(|open| open.detail != detail) {
            self.tell(run, StepView { detail, ..open });
        }
    }

    fn tell(&self, run: &Run, mut step: StepView) {
        Redactor::process().clean(&mut step.detail);
        self.emit(Event::DeployStep {
            deploy: run.id,
            app: run.app.clone(),
            release: run.release(),
            step: step.step.clone(),
            detail: step.detail.clone(),
            ended: step.ended,
            millis: step.millis,
        });
        run.journal.step(step);
    }

    /// Waits for `work`, unless the deploy is ended from outside or the server stops.
    pub(crate) async fn unless_ended<T>(&self, run: &Run, work: impl Future<Output = T>) -> Result<T, Halt> {
        tokio::select! {
            biased;
            () = run.cancelled() => Err(Halt::Aborted),
            result = self.unless_stopping(work) => result,
        }
    }

    /// Waits for `work`, unless the server stops.
    pub(crate) async fn unless_stopping<T>(&self, work: impl Future<Output = T>) -> Result<T, Halt> {
        let shutdown = self.tasks.shutdown();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => Err(Halt::Stopping),
            result = work => Ok(result),
        }
    }
}

/// Containers of other applications by host.
pub(crate) fn load_of_others(generation: &Generation, app: &Name) -> BTreeMap<Name, u32> {
    let mut load: BTreeMap<Name, u32> = BTreeMap::new();
    let others = generation.apps.iter().filter(|(name, _)| *name != app);
    for instance in others.flat_map(|(_, desired)| &desired.instances) {
        *load.entry(instance.host.clone()).or_default() += 1;
    }
    load
}

/// What a look at the world says.
pub(crate) enum Look<T> {
    /// There it is.
    Done(T),
    /// Look again when something changes, or at this time.
    Wait(Instant),
}

/// Looks at the newest value until it says `Done`.
pub(crate) async fn watch_until<V: Clone, T>(
    mut receiver: watch::Receiver<V>,
    mut look: impl FnMut(&V) -> Look<T>,
) -> T {
    loop {
        let newest = receiver.borrow_and_update().clone();
        let again = match look(&newest) {
            Look::Done(value) => return value,
            Look::Wait(again) => again,
        };
        let changed = async {
            if receiver.changed().await.is_err() {
                // The other side is gone; only the time is left.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = changed => {}
            () = tokio::time::sleep_until(again) => {}
        }
    }
}
