//! Step `plan`: from what was asked to a stored rollout.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use wharf_compose::project::Project;
use wharf_model::{Name, Platform, SecretRef};

use super::{Halt, Job};
use crate::Error;
use crate::api::{DeployRequest, PlanView, What};
use crate::check::located;
use crate::engine::{Engine, load_of_others};
use crate::plan::{self, Action, Input, Plan, PlanError, Rollout};
use crate::run::Run;
use crate::store::{Content, Planned, Release, Scale};
use crate::translate::{self, Model};

/// What is to be planned.
pub(crate) enum Draft {
    /// A release that may turn out to be the active one.
    Deploy { content: Box<Content>, message: String, expected: Option<Box<PlanView>> },
    /// Everything goes.
    Remove,
    /// A stored release.
    Rollback { content: Box<Content> },
    /// The active release with other numbers or hosts.
    Resize { content: Box<Content>, scales: BTreeMap<Name, u32> },
}

/// Reads what the job needs.
pub(super) async fn draft(engine: &Engine, run: &Run, job: Job) -> Result<Draft, Halt> {
    if matches!(job, Job::Remove) {
        // There may be no release: the only deploy has failed.
        return Ok(Draft::Remove);
    }
    let content = stored(engine, &run.app, run.release()).await?;
    if matches!(job, Job::Rollback) {
        refuse_without_images(engine, &run.app, run.release()).await?;
    }
    Ok(match job {
        Job::Deploy(_) | Job::Remove | Job::Restart(_) => {
            unreachable!("a deploy is drafted by its build, a removal above, a restart has rounds")
        }
        Job::Move => Draft::Resize { content, scales: BTreeMap::new() },
        Job::Rollback => Draft::Rollback { content },
        Job::Scale(scales) => Draft::Resize { content, scales },
    })
}

/// Another deploy may have removed them since the rollback was asked for.
async fn refuse_without_images(engine: &Engine, app: &Name, release: u32) -> Result<(), Error> {
    let found = engine.store.release(app, release).await?;
    match found.is_some_and(|found| found.images_gone) {
        true => Err(Error::ImagesGone { app: app.clone(), release, kept: engine.config.keep_releases }),
        false => Ok(()),
    }
}

pub(super) async fn stored(engine: &Engine, app: &Name, release: u32) -> Result<Box<Content>, Error> {
    let found = engine.store.release(app, release).await?;
    let found = found.ok_or_else(|| Error::UnknownRelease { app: app.clone(), release })?;
    Ok(Box::new(found.content))
}

/// Plans, tells the plan, stores it. `None`: nothing is to be done.
pub(super) async fn plan_step(engine: &Engine, run: &Run, draft: Draft) -> Result<Option<Rollout>, Halt> {
    let what = "what stays, comes and goes".to_owned();
    engine
        .step(run, "plan", what, async {
            let (plan, planned) = decide(engine, run, draft).await?;
            let mut detail = plan::lines(&plan).join("\n");
            let Some(planned) = planned else {
                if let Some(active) = plan.previous {
                    run.set_release(active);
                }
                return Ok((None, detail));
            };
            if let (Some(release), true) = (&planned.release, plan.is_up_to_date()) {
                detail = format!("release {}: the file differs, the containers don't", release.number);
            }
            let rollout = planned.rollout.clone();
            if let Some(release) = &planned.release {
                crate::uploads::shared::keep(&engine.store, &engine.uploads, release).await?;
            }
            engine.store.planned(run.id, &run.app, planned).await?;
            Ok((Some(rollout), detail))
        })
        .await
}

/// The plan, and what to store of it unless nothing is to be done.
async fn decide(engine: &Engine, run: &Run, draft: Draft) -> Result<(Plan, Option<Planned>), Error> {
    let app = &run.app;
    let (content, new_scales, is_resize) = match &draft {
        Draft::Deploy { content, .. } | Draft::Rollback { content } => (content, None, false),
        Draft::Resize { content, scales } => (content, Some(scales), true),
        Draft::Remove => {
            let current = engine.desired(app).unwrap_or_default();
            let plan = plan::removal(app, &current, millis(engine.config.drain_deadline));
            let planned = Planned { rollout: plan.rollout.clone(), release: None, scales: Vec::new() };
            return Ok((plan, Some(planned)));
        }
    };
    let known = engine.store.scales(app).await?;
    let scales = scales(&content.project, known.clone(), new_scales)?;
    let images = at_registry(&content.images, &engine.registry);
    let model = translate::translate(app, &content.project, &images, &content.files, &content.secrets)?;
    let model = Arc::new(model);
    let how = match run.what {
        What::Move => How::Move,
        _ if is_resize => How::Resize,
        _ => How::New,
    };
    let mut plan = make(engine, app, run.release(), &model, &scales, how).await?;
    let active = match (&draft, plan.previous) {
        (Draft::Deploy { .. }, Some(active)) => engine.store.release(app, active).await?,
        _ => None,
    };
    if let Draft::Deploy { content, .. } = &draft {
        let previous = active.as_ref().map(|active| &active.content.project);
        plan::add_before_switch(&mut plan, &model, &content.project, previous);
    }
    if let Draft::Deploy { expected: Some(expected), .. } = &draft {
        refuse_other(engine, &plan, expected).await?;
    }

    let mut is_done = plan.is_up_to_date() && scales == known;
    let mut release = None;
    if let Draft::Deploy { content, message, .. } = draft {
        is_done &= active.is_some_and(|active| active.content.is_same(&content));
        let (number, created) = (run.release(), engine.clock.now());
        let author = run.by.clone();
        release = Some(Release {
            number,
            created,
            author,
            message,
            content: *content,
            has_served: false,
            images_gone: false,
        });
    } else if !is_resize {
        is_done &= plan.previous == Some(plan.release);
    }
    let planned = Planned { rollout: plan.rollout.clone(), release, scales };
    Ok((plan, (!is_done).then_some(planned)))
}

/// Refuses to do something else than a saved plan says: the world may have moved while images were built. A service that
/// was built may turn out to be unchanged, which the plan has said.
async fn refuse_other(engine: &Engine, plan: &Plan, expected: &PlanView) -> Result<(), Error> {
    let mut moved = expected.world.moved(&engine.world_of(&plan.app).await, &plan.app);
    let services = if moved.is_empty() { plan.services.as_slice() } else { &[] };
    for service in services {
        let is_built = expected.builds.iter().any(|built| *service.service == **built);
        let is_planned = expected.services.iter().any(|planned| {
            let same_places = (&planned.kept, &planned.created, &planned.removed)
                == (&service.kept, &service.created, &service.removed);
            planned.service == service.service && same_places
        });
        let may_be_unchanged = is_built && service.action == Action::Keep;
        if !is_planned && !may_be_unchanged {
            moved.push(format!("{} would be changed in another way", service.service));
        }
    }
    if moved.is_empty() { Ok(()) } else { Err(Error::Moved { app: plan.app.clone(), moved }) }
}

/// What is planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    /// A release.
    New,
    /// Other numbers of the same.
    Resize,
    /// The same, elsewhere.
    Move,
}

/// Plans with the world as it is now, away from the async threads: the plan of a thousand hosts takes a while.
async fn make(
    engine: &Engine,
    app: &Name,
    release: u32,
    model: &Arc<Model>,
    scales: &[Scale],
    how: How,
) -> Result<Plan, Error> {
    let generation = engine.hosts.generation();
    let hosts = engine.hosts.hosts();
    let numbers: BTreeMap<Name, u32> =
        scales.iter().map(|scale| (scale.service.clone(), scale.replicas)).collect();
    let given_up = if how == How::Move { engine.losses().given_up } else { BTreeSet::new() };
    let drain_ms = millis(engine.config.drain_deadline);
    let platforms = platforms(engine, model).await;
    let (name, world, model) = (app.clone(), Arc::clone(&generation), Arc::clone(model));
    let planned = crate::blocking(move || {
        plan::plan(&Input {
            app: &name,
            release,
            model: &model,
            current: world.apps.get(&name),
            hosts: &hosts,
            load: load_of_others(&world, &name),
            scales: &numbers,
            is_resize: how != How::New,
            platforms: &platforms,
            given_up: &given_up,
            drain_ms,
        })
    });
    let plan = planned.await?;
    refuse_blocked(engine, &plan.rollout)?;
    let after = plan.rollout.stages.after.as_ref();
    if let Some((route, owner, service)) = after.and_then(|after| generation.taken_route(app, after)) {
        let (route, owner, service) = (route.place(), owner.clone(), service.clone());
        return Err(PlanError::RouteTaken { route, app: owner, service }.into());
    }
    let before = generation.apps.get(app).map(|app| app.routes.as_slice()).unwrap_or_default();
    if let Some((route, key)) = after.and_then(|after| engine.fixed_routes.taken(before, &after.routes)) {
        return Err(PlanError::RouteFixed { route, key }.into());
    }
    Ok(plan)
}

/// What the images of the services are for: what the file says, else what our registry knows.
async fn platforms(engine: &Engine, model: &Model) -> BTreeMap<Name, Vec<Platform>> {
    let mut platforms = BTreeMap::new();
    for (name, service) in &model.services {
        let found = match (service.spec.platform.as_deref(), &engine.platforms) {
            (Some(platform), _) => Platform::parse(platform).into_iter().collect(),
            (None, Some(known)) => known.platforms(&service.spec.image).await,
            (None, None) => Vec::new(),
        };
        platforms.insert(name.clone(), found);
    }
    platforms
}

/// Refuses to start something where nothing can be started now.
pub(super) fn refuse_blocked(engine: &Engine, rollout: &Rollout) -> Result<(), Error> {
    let observed = engine.hosts.observed().borrow().clone();
    for coming in &rollout.coming {
        let report = observed.hosts.get(&coming.host).map(|(_, report)| report);
        if let Some(problem) = report.and_then(|report| report.problem.clone()) {
            let (service, host) = (coming.service.clone(), coming.host.clone());
            return Err(PlanError::Blocked { service, host, problem }.into());
        }
    }
    Ok(())
}

/// The scales that hold for `project`: those whose service states the same number as when they were set, and new ones.
pub(super) fn scales(
    project: &Project,
    known: Vec<Scale>,
    new: Option<&BTreeMap<Name, u32>>,
) -> Result<Vec<Scale>, Error> {
    let stated = |service: &Name| {
        project.services.get(service.as_str()).map(|found| found.deploy.replicas.unwrap_or(1))
    };
    let mut scales: BTreeMap<Name, Scale> = known
        .into_iter()
        .filter(|scale| stated(&scale.service) == Some(scale.stated))
        .map(|scale| (scale.service.clone(), scale))
        .collect();
    for (service, replicas) in new.into_iter().flatten() {
        let stated =
            stated(service).ok_or_else(|| Error::Invalid(format!("there is no service `{service}`")))?;
        scales.insert(service.clone(), Scale { service: service.clone(), replicas: *replicas, stated });
    }
    // A scale to the number in the file is none.
    scales.retain(|_, scale| scale.replicas != scale.stated);
    Ok(scales.into_values().collect())
}

/// Plans a deploy without building: images that would be built from the same context count as unchanged.
/// Returns the plan and the services that a deploy would build.
pub(crate) async fn foresee(
    engine: &Engine,
    app: &Name,
    request: &DeployRequest,
    secrets: &BTreeMap<String, SecretRef>,
) -> Result<(Plan, Vec<String>), Error> {
    let releases = engine.store.releases(app).await?;
    let next = releases.first().map_or(1, |newest| newest.number + 1);
    let active = engine.desired(app).map(|current| current.release);
    let active =
        releases.into_iter().find(|release| Some(release.number) == active).map(|found| found.content);
    let mut images = BTreeMap::new();
    let (mut builds, mut unknown) = (Vec::new(), Vec::new());
    for (name, service) in &request.project.services {
        let Some(build) = &service.build else { continue };
        builds.push(name.clone());
        let same = active.as_ref().filter(|active| {
            let before = active.project.services.get(name).and_then(|service| service.build.as_ref());
            before == Some(build) && active.contexts.get(name) == request.contexts.get(name)
        });
        let unbuilt = || format!("{}/{app}/{name}:r{next}", engine.registry);
        let known = same.and_then(|active| at_registry(&active.images, &engine.registry).remove(name));
        if known.is_none() {
            unknown.push(name.clone());
        }
        let image = known.unwrap_or_else(unbuilt);
        images.insert(name.clone(), image);
    }
    let scales = scales(&request.project, engine.store.scales(app).await?, None)?;
    let model = translate::translate(app, &request.project, &images, &request.files, secrets)
        .map_err(|error| located(error, &request.places))?;
    let model = Arc::new(model);
    let mut plan = make(engine, app, next, &model, &scales, How::New).await?;
    plan::add_before_switch(
        &mut plan,
        &model,
        &request.project,
        active.as_ref().map(|active| &active.project),
    );
    let built =
        plan.services.iter_mut().filter(|service| unknown.iter().any(|name| *service.service == **name));
    for service in built {
        for change in service.changes.iter_mut().filter(|change| *change == "image") {
            *change = "image, if the build gives another one".to_owned();
        }
        let context = request.contexts.get(service.service.as_str());
        for why in service.why.iter_mut().filter(|why| why.field == "image") {
            let short = context.map(|context| context.digest.hex()[..12].to_owned()).unwrap_or_default();
            why.new = Some(format!("built from context {short}, if that gives another one"));
        }
    }
    Ok((plan, builds))
}

/// Images that we built, by the address that the registry has now: it may have another than when they were pushed.
pub(crate) fn at_registry(images: &BTreeMap<String, String>, registry: &str) -> BTreeMap<String, String> {
    let moved = |image: &String| match image.split_once('/') {
        Some((_, rest)) => format!("{registry}/{rest}"),
        None => image.clone(),
    };
    images.iter().map(|(service, image)| (service.clone(), moved(image))).collect()
}

/// What moving instances of `app` away from draining and lost hosts would do.
pub(crate) struct Foreseen {
    /// It changes something.
    pub(crate) is_change: bool,
    /// Only what is missing is made: nothing that runs would go.
    pub(crate) is_addition: bool,
    /// What stays on lost hosts, in words.
    pub(crate) stays: Vec<String>,
}

/// Foresees a move. Errors: it can't be made.
pub(crate) async fn foresee_move(engine: &Engine, app: &Name, active: u32) -> Result<Foreseen, Error> {
    let content = stored(engine, app, active).await?;
    let scales = engine.store.scales(app).await?;
    let images = at_registry(&content.images, &engine.registry);
    let model = translate::translate(app, &content.project, &images, &content.files, &content.secrets)?;
    let model = Arc::new(model);
    let plan = make(engine, app, active, &model, &scales, How::Move).await?;
    let (is_change, rollout) = (!plan.is_up_to_date(), plan.rollout);
    let is_addition =
        !rollout.coming.is_empty() && rollout.leaving.is_empty() && rollout.stopped_first.is_empty();
    Ok(Foreseen { is_change, is_addition, stays: plan.stays })
}

pub(super) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
