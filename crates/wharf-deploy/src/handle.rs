//! The running part as others use it: starts deploys, answers questions about them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::{Stream, StreamExt, stream};
use wharf_base::{Digest, Tasks};
use wharf_compose::project::{Mount, MountKind, Service};
use wharf_model::{Generation, Name, Observed};

use crate::api::{
    AppView, DeployRequest, DeployState, DeployView, EndView, PlanView, ReleaseDiff, ReleaseView, RouteView,
    ServiceView, Started, StreamItem, Uploaded, What,
};
use crate::engine::{Deps, Engine};
use crate::journal::Journal;
use crate::mover;
use crate::rollout::{self, Job, recover};
use crate::run::{NewRun, Run};
use crate::secrets::{self, Opened};
use crate::store::{App, NewDeploy, NewRelease, Progress, Release, Store};
use crate::uploads::Uploads;
use crate::{Config, Error, diff, plan};

/// LIMIT: deploys in one answer.
const LIST_MAX: u32 = 1_000;
/// LIMIT: characters of a release's message.
const MESSAGE_MAX: usize = 1_000;

/// The running part; clones share it.
#[derive(Clone)]
pub struct Handle {
    engine: Arc<Engine>,
}

/// Opens the tables, settles what an earlier process has left half done, and watches for draining hosts.
///
/// Deploys that were interrupted before their switch are undone, others finished, each in a task of its own; until
/// then their applications are busy.
pub async fn start(config: Config, deps: Deps, tasks: &Tasks) -> Result<Handle, Error> {
    let store = Store::open(deps.database.clone()).await?;
    let directory = deps.data.join("uploads");
    let clock = Arc::clone(&deps.clock);
    let uploads = Uploads::open(directory, config.upload_bytes_max, config.uploads_bytes_max, clock).await?;
    crate::uploads::shared::fetch(&store, &uploads).await?;
    let engine = Arc::new(Engine::new(config, deps, store, uploads, tasks.clone()));
    for stored in engine.store.running().await? {
        let run = recover::adopt(&engine, &stored);
        tasks.spawn(format!("deploy-{}", run.id), recover::settle(Arc::clone(&engine), run, stored));
    }
    let handle = Handle { engine };
    tasks.spawn("deploy-mover", mover::watch(handle.clone(), tasks.shutdown()));
    Ok(handle)
}

impl Handle {
    /// Every application.
    pub async fn apps(&self) -> Result<Vec<AppView>, Error> {
        let apps = self.engine.store.apps().await?;
        let (generation, observed) = self.world();
        Ok(apps.iter().map(|app| self.app_view(app, &generation, &observed)).collect())
    }

    /// One application. Errors: `UnknownApp`.
    pub async fn app(&self, name: &Name) -> Result<AppView, Error> {
        let app = self.known(name).await?;
        let (generation, observed) = self.world();
        Ok(self.app_view(&app, &generation, &observed))
    }

    /// Releases that are kept, the newest first. Errors: `UnknownApp`.
    pub async fn releases(&self, name: &Name) -> Result<Vec<ReleaseView>, Error> {
        let app = self.known(name).await?;
        let releases = self.engine.store.releases(name).await?;
        let view = |release: Release| {
            let content = release.content;
            let image = |(service, definition): (&String, &Service)| {
                let image = content.images.get(service).or(definition.image.as_ref())?;
                Some((service.clone(), image.clone()))
            };
            ReleaseView {
                number: release.number,
                created: release.created,
                author: release.author,
                message: release.message,
                images: content.project.services.iter().filter_map(image).collect(),
                is_active: app.active == Some(release.number),
                has_served: release.has_served,
                can_roll_back: release.has_served
                    && !release.images_gone
                    && app.active != Some(release.number),
            }
        };
        Ok(releases.into_iter().map(view).collect())
    }

    /// What differs between two releases. Errors: `UnknownApp`, `UnknownRelease`.
    pub async fn release_diff(&self, name: &Name, from: u32, to: u32) -> Result<ReleaseDiff, Error> {
        self.known(name).await?;
        let read = async |number: u32| {
            let release = self.engine.store.release(name, number).await?;
            release.ok_or_else(|| Error::UnknownRelease { app: name.clone(), release: number })
        };
        Ok(diff::diff(name, &read(from).await?, &read(to).await?))
    }

    /// The public key of this server, `age1…`: what secrets are encrypted for.
    pub fn secrets_recipient(&self) -> String {
        self.engine.vault.recipient()
    }

    /// Stores an upload. Durable once it returns.
    pub async fn upload(&self, body: axum::body::Body) -> Result<Uploaded, Error> {
        self.engine.uploads.store(body).await
    }

    /// The file of an upload: agents fetch bundles of relative bind mounts by their digest.
    pub fn upload_path(&self, digest: &Digest) -> Option<PathBuf> {
        self.engine.uploads.path(digest)
    }

    /// What a deploy would do. Changes nothing.
    pub async fn plan(&self, app: &Name, request: &DeployRequest) -> Result<PlanView, Error> {
        self.check(app, request)?;
        let opened = secrets::open(&self.engine.vault, request).await?;
        self.foresee(app, request, &opened).await
    }

    async fn foresee(&self, app: &Name, request: &DeployRequest, opened: &Opened) -> Result<PlanView, Error> {
        let (plan, builds) = rollout::foresee(&self.engine, app, request, &opened.refs).await?;
        let (hosts, (_, observed)) = (self.engine.hosts.hosts(), self.world());
        let described = crate::blocking(move || {
            let (lines, items) = (plan::lines(&plan), plan::items(&plan, &hosts, &observed));
            (plan, lines, items)
        });
        let (plan, mut lines, items) = described.await;
        if !builds.is_empty() {
            lines.push(format!(
                "! built first, whether it changes is known after the build: {}",
                builds.join(", ")
            ));
        }
        Ok(PlanView {
            app: plan.app.clone(),
            release: plan.release,
            previous: plan.previous,
            is_up_to_date: plan.is_up_to_date(),
            builds,
            services: plan.services.clone(),
            warnings: plan.warnings.clone(),
            lines,
            items,
            world: self.engine.world_of(app).await,
        })
    }

    /// Starts a deploy. Errors: `Busy`, and everything that is wrong with the request.
    pub async fn deploy(&self, app: &Name, request: DeployRequest, by: &str) -> Result<Started, Error> {
        self.check(app, &request)?;
        // The parts that don't depend on builds are checked now, so that a mistake costs no build.
        let opened = secrets::open(&self.engine.vault, &request).await?;
        let now = self.foresee(app, &request, &opened).await?;
        if let Some(plan) = &request.plan {
            refuse_moved(app, plan, &now)?;
        }
        self.begin(app, NewRelease::Next, What::Deploy, by, Job::Deploy(Box::new((request, opened)))).await
    }

    /// Starts a rollback to `release`, or to the one before the active one.
    pub async fn rollback(&self, name: &Name, release: Option<u32>, by: &str) -> Result<Started, Error> {
        let app = self.known(name).await?;
        let release = match release {
            Some(release) => release,
            None => app.previous.ok_or_else(|| Error::NoPrevious(name.clone()))?,
        };
        match self.engine.store.release(name, release).await? {
            None => return Err(Error::UnknownRelease { app: name.clone(), release }),
            Some(found) if !found.has_served => {
                return Err(Error::NeverServed { app: name.clone(), release });
            }
            Some(found) if found.images_gone => {
                let kept = self.engine.config.keep_releases;
                return Err(Error::ImagesGone { app: name.clone(), release, kept });
            }
            Some(_) => {}
        }
        self.begin(name, NewRelease::Stored(release), What::Rollback, by, Job::Rollback).await
    }

    /// Starts to change numbers of instances.
    pub async fn scale(
        &self,
        name: &Name,
        services: &BTreeMap<String, u32>,
        by: &str,
    ) -> Result<Started, Error> {
        let active = self.active(name).await?;
        let release = self.engine.store.release(name, active).await?;
        let release = release.ok_or_else(|| Error::UnknownRelease { app: name.clone(), release: active })?;
        if services.is_empty() {
            return Err(Error::Invalid(
                "no service to scale was named\n  hint: wharf scale web=5".to_owned(),
            ));
        }
        let mut numbers = BTreeMap::new();
        for (service, replicas) in services {
            let known = service_of(name, &release, service)?;
            self.check_replicas(service, *replicas)?;
            check_writers(service, &release.content.project.services[service], *replicas)?;
            numbers.insert(known, *replicas);
        }
        self.begin(name, NewRelease::Active, What::Scale, by, Job::Scale(numbers)).await
    }

    /// Starts to replace the containers of `services` (of all where it is empty) by equal ones, one after the other.
    ///
    /// Errors: `UnknownApp`, `NothingServes`, `Busy`; `Invalid` for a service that there is not.
    pub async fn restart(&self, name: &Name, services: &[String], by: &str) -> Result<Started, Error> {
        let active = self.active(name).await?;
        let release = self.engine.store.release(name, active).await?;
        let release = release.ok_or_else(|| Error::UnknownRelease { app: name.clone(), release: active })?;
        let services: BTreeSet<Name> =
            services.iter().map(|service| service_of(name, &release, service)).collect::<Result<_, _>>()?;
        self.begin(name, NewRelease::Active, What::Restart, by, Job::Restart(services)).await
    }

    /// What other hosts can take of what is on draining and lost ones. `None`: a deploy runs. Errors: no host fits.
    pub(crate) async fn foresee_move(&self, name: &Name) -> Result<Option<rollout::Foreseen>, Error> {
        if self.engine.runs().iter().any(|run| run.app == *name) {
            return Ok(None);
        }
        let active = self.active(name).await?;
        Ok(Some(rollout::foresee_move(&self.engine, name, active).await?))
    }

    /// Starts to move instances of an application away from draining and lost hosts.
    pub(crate) async fn move_away(&self, name: &Name) -> Result<Started, Error> {
        self.begin(name, NewRelease::Active, What::Move, "wharf", Job::Move).await
    }

    /// Starts to remove an application with its releases. Its volumes stay on the hosts.
    pub async fn remove(&self, name: &Name, by: &str) -> Result<Started, Error> {
        self.known(name).await?;
        self.begin(name, NewRelease::Active, What::Remove, by, Job::Remove).await
    }

    /// Deploys, the newest first, of one application or of all; at most 1,000.
    pub async fn deploys(&self, app: Option<&Name>, limit: u32) -> Result<Vec<DeployView>, Error> {
        let mut deploys = self.engine.store.deploys(app, limit.min(LIST_MAX)).await?;
        for deploy in &mut deploys {
            if let Some(run) = self.engine.run(deploy.id) {
                *deploy = run.view();
            }
        }
        Ok(deploys)
    }

    /// One deploy. Errors: `UnknownDeploy`.
    pub async fn deploy_view(&self, id: u64) -> Result<DeployView, Error> {
        Ok(match self.find(id).await? {
            Found::Run(run) => run.view(),
            Found::Row(view) => *view,
        })
    }

    /// The deploy in memory if it runs here, else its row.
    async fn find(&self, id: u64) -> Result<Found, Error> {
        let engine = &self.engine;
        if let Some(run) = engine.run(id) {
            return Ok(Found::Run(run));
        }
        let row = async || engine.store.deploy(id).await?.ok_or(Error::UnknownDeploy(id));
        let view = row().await?;
        if view.state != DeployState::Running {
            return Ok(Found::Row(Box::new(view)));
        }
        // It was between its table and the list of runs, or has just ended.
        drop(engine.starting.lock().await);
        match engine.run(id) {
            Some(run) => Ok(Found::Run(run)),
            None => Ok(Found::Row(Box::new(row().await?))),
        }
    }

    /// Ends a deploy that has not switched yet; it undoes what it did. Errors: `UnknownDeploy`, `Ended`, `TooLate`.
    pub async fn abort(&self, id: u64, by: &str) -> Result<(), Error> {
        match self.find(id).await? {
            Found::Run(run) => {
                run.abort(by)?;
                self.engine.emit(wharf_model::Event::DeployAborted {
                    deploy: id,
                    app: run.app.clone(),
                    release: run.release(),
                    by: by.to_owned(),
                });
                Ok(())
            }
            Found::Row(_) => Err(Error::Ended(id)),
        }
    }

    /// The story of a deploy from item `from` on, then live, until its end. Each item comes with its position.
    ///
    /// Errors: `UnknownDeploy`.
    pub async fn stream(
        &self,
        id: u64,
        from: usize,
    ) -> Result<impl Stream<Item = (usize, StreamItem)> + Send + use<>, Error> {
        let view = match self.find(id).await? {
            Found::Run(run) => return Ok(live(run, from).boxed()),
            Found::Row(view) => *view,
        };
        let mut items = self.engine.store.items(id).await?;
        if let Some(ended) = view.ended {
            let millis = u64::try_from(ended.since(view.started).as_millis()).unwrap_or(u64::MAX);
            let (state, release, error, log_tail) = (view.state, view.release, view.error, view.log_tail);
            items.push(StreamItem::End(EndView { state, release, error, log_tail, millis }));
        }
        Ok(stream::iter(items.into_iter().enumerate().skip(from)).boxed())
    }

    /// Takes the lease, answers, and goes on in a task.
    async fn begin(
        &self,
        app: &Name,
        release: NewRelease,
        what: What,
        by: &str,
        job: Job,
    ) -> Result<Started, Error> {
        let engine = &self.engine;
        let started = engine.clock.now();
        let new = NewDeploy { app: app.clone(), release, what, by: by.to_owned(), started };
        let starting = engine.starting.lock().await;
        let (id, release) = engine.store.begin(new).await?;
        let uploads = match &job {
            Job::Deploy(asked) => uploads_of(&asked.0),
            Job::Move | Job::Remove | Job::Restart(_) | Job::Rollback | Job::Scale(_) => BTreeSet::new(),
        };
        let secrets = match &job {
            Job::Deploy(asked) => asked.1.fingerprints().cloned().collect(),
            Job::Move | Job::Remove | Job::Restart(_) | Job::Rollback | Job::Scale(_) => BTreeSet::new(),
        };
        let run = Arc::new(Run::new(NewRun {
            id,
            app: app.clone(),
            release,
            what,
            by: by.to_owned(),
            started,
            journal: Journal::new(engine.config.output_lines_max, Progress::default()),
            uploads,
            secrets,
        }));
        engine.add_run(Arc::clone(&run));
        drop(starting);
        engine.emit(wharf_model::Event::DeployStarted {
            deploy: id,
            app: app.clone(),
            release,
            what: what.as_str().to_owned(),
            by: by.to_owned(),
        });
        engine.tasks.spawn(format!("deploy-{id}"), rollout::carry_out(Arc::clone(engine), run, job));
        Ok(Started { deploy: id, release })
    }

    /// Limits and uploads of a request.
    fn check(&self, app: &Name, request: &DeployRequest) -> Result<(), Error> {
        let (project, config) = (&request.project, &self.engine.config);
        if project.name != app.as_str() {
            return Err(Error::Invalid(format!("the project is `{}`, not `{app}`", project.name)));
        }
        if project.services.is_empty() || project.services.len() > config.services_max {
            return Err(Error::Invalid(format!(
                "{} services; an application has 1 to {} (deploy.services_max)",
                project.services.len(),
                config.services_max
            )));
        }
        if request.message.chars().count() > MESSAGE_MAX {
            return Err(Error::Invalid(format!("the message is longer than {MESSAGE_MAX} characters")));
        }
        for (name, service) in &project.services {
            self.check_replicas(name, service.deploy.replicas.unwrap_or(1))?;
            if service.build.is_none() {
                continue;
            }
            let what = || format!("services.{name}.build");
            let context = request
                .contexts
                .get(name)
                .ok_or_else(|| Error::Invalid(format!("{}: its context did not come along", what())))?;
            self.uploaded(what, &context.digest)?;
        }
        for (source, file) in &request.files {
            let size = self.uploaded(|| format!("`{source}`"), &file.digest)?;
            if size != file.size {
                return Err(Error::Invalid(format!(
                    "`{source}`: the upload has {size} bytes, not {}",
                    file.size
                )));
            }
        }
        Ok(())
    }

    /// Bytes of an upload that must be here.
    fn uploaded(&self, what: impl Fn() -> String, digest: &Digest) -> Result<u64, Error> {
        let missing = || Error::UploadMissing { what: what(), digest: digest.clone() };
        let path = self.engine.uploads.path(digest).ok_or_else(missing)?;
        Ok(path.metadata().map_err(|source| Error::Io { what: "look at a file", source })?.len())
    }

    fn check_replicas(&self, service: &str, replicas: u32) -> Result<(), Error> {
        let max = self.engine.config.replicas_max;
        if replicas > max {
            return Err(Error::Invalid(format!(
                "{service}: {replicas} instances are more than {max} (deploy.replicas_max)"
            )));
        }
        Ok(())
    }

    async fn known(&self, name: &Name) -> Result<App, Error> {
        self.engine.store.app(name).await?.ok_or_else(|| Error::UnknownApp(name.clone()))
    }

    async fn active(&self, name: &Name) -> Result<u32, Error> {
        self.known(name).await?.active.ok_or_else(|| Error::NothingServes(name.clone()))
    }

    pub(crate) fn shared(&self) -> Arc<Engine> {
        Arc::clone(&self.engine)
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    fn world(&self) -> (Arc<Generation>, Arc<Observed>) {
        (self.engine.hosts.generation(), self.engine.hosts.observed().borrow().clone())
    }

    fn app_view(&self, app: &App, generation: &Generation, observed: &Observed) -> AppView {
        let none = wharf_model::AppDesired::default();
        let desired = generation.apps.get(&app.name).unwrap_or(&none);
        let mut services: BTreeMap<&Name, ServiceView> = BTreeMap::new();
        for instance in desired.instances.iter().filter(|one| !desired.draining.contains(&one.id)) {
            let service = services.entry(&instance.service).or_insert_with(|| ServiceView {
                name: instance.service.clone(),
                image: String::new(),
                replicas_desired: 0,
                replicas_healthy: 0,
                routed: desired.routes.iter().any(|route| route.service == instance.service),
                release: 0,
            });
            service.replicas_desired += 1;
            let report = observed.instance(&instance.host, &instance.id);
            service.replicas_healthy += u32::from(report.is_some_and(|report| report.state.is_healthy()));
            if instance.release >= service.release {
                service.release = instance.release;
                service.image.clone_from(&instance.spec.image);
            }
        }
        let route = |route: &wharf_model::RouteSpec| RouteView {
            host: route.host.clone(),
            path: route.path.clone(),
            service: route.service.clone(),
        };
        AppView {
            name: app.name.clone(),
            release: app.active,
            previous_release: app.previous,
            services: services.into_values().collect(),
            routes: desired.routes.iter().map(route).collect(),
            deploying: self.engine.runs().iter().find(|run| run.app == app.name).map(|run| run.id),
        }
    }
}

/// The name of a service that the release has. Errors: it has none, with the nearest name.
fn service_of(app: &Name, release: &Release, service: &str) -> Result<Name, Error> {
    let known = &release.content.project.services;
    if known.contains_key(service) {
        return service.parse().map_err(|error| Error::Invalid(format!("{error}")));
    }
    let service: String = service.chars().take(63).collect();
    let near = wharf_base::suggest(&service, known.keys().map(String::as_str));
    let hint = near.map_or_else(
        || format!("it has {}", known.keys().cloned().collect::<Vec<_>>().join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    Err(Error::Invalid(format!("{app} has no service `{service}`\n  hint: {hint}")))
}

/// A second container that writes the same data is started only if the file itself asks for several.
fn check_writers(service: &str, definition: &Service, replicas: u32) -> Result<(), Error> {
    let writes = |mount: &&Mount| mount.kind == MountKind::Volume && !mount.read_only;
    let volume = definition.volumes.iter().filter(writes).find_map(|mount| mount.source.as_ref());
    let Some(volume) = volume.filter(|_| replicas > 1 && definition.deploy.replicas.unwrap_or(1) <= 1) else {
        return Ok(());
    };
    Err(Error::Invalid(format!(
        "{service}: {replicas} containers would write the volume `{volume}` at the same time\n  \
         hint: if the program can do that, say so with `deploy: {{ replicas: {replicas} }}` in the file"
    )))
}

/// Refuses a saved plan that is not what would be done now.
fn refuse_moved(app: &Name, plan: &PlanView, now: &PlanView) -> Result<(), Error> {
    let mut moved = plan.world.moved(&now.world, app);
    if moved.is_empty() && plan.release != now.release {
        moved.push(format!("it would make release {}, not {}", now.release, plan.release));
    }
    if moved.is_empty() && (&plan.services, &plan.builds) != (&now.services, &now.builds) {
        // The same world gives the same plan unless this server plans otherwise: another version, another setting.
        moved.push(format!("this server would do something else now:\n    {}", now.lines.join("\n    ")));
    }
    if moved.is_empty() { Ok(()) } else { Err(Error::Moved { app: app.clone(), moved }) }
}

/// Where a deploy was found.
enum Found {
    Run(Arc<Run>),
    Row(Box<DeployView>),
}

/// The items of a deploy that runs, from a position on, to its end.
fn live(run: Arc<Run>, from: usize) -> impl Stream<Item = (usize, StreamItem)> + Send {
    let batches = stream::unfold((run, from), |(run, position)| async move {
        let items = run.journal.next(position).await?;
        let next = position + items.len();
        let numbered: Vec<(usize, StreamItem)> = (position..).zip(items).collect();
        Some((stream::iter(numbered), (run, next)))
    });
    batches.flatten()
}

fn uploads_of(request: &DeployRequest) -> BTreeSet<Digest> {
    let contexts = request.contexts.values().map(|context| context.digest.clone());
    contexts.chain(request.files.values().map(|file| file.digest.clone())).collect()
}

/// Removes uploads that are old and that neither a kept release nor a running deploy needs.
pub(crate) async fn prune_uploads(engine: &Engine) {
    let pruned = async {
        let mut needed: BTreeSet<Digest> = engine.store.files_in_use().await?.into_iter().collect();
        for run in engine.runs() {
            needed.extend(run.uploads.iter().cloned());
        }
        // What hosts are to mount now is needed whatever the history says.
        for desired in engine.hosts.generation().apps.values() {
            needed.extend(desired.files.iter().map(|file| file.digest.clone()));
        }
        crate::uploads::shared::prune(&engine.store, &needed).await?;
        engine.uploads.prune(needed, engine.config.uploads_kept).await
    };
    match pruned.await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "old uploads were removed"),
        Err(error) => tracing::warn!(%error, "old uploads could not be removed"),
    }
}
