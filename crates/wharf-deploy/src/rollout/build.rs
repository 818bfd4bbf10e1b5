//! Step `build`: every service with `build:`, one after the other; output goes to the people who watch.

use std::collections::BTreeMap;

use tokio::sync::mpsc;
use wharf_compose::project::{self, Build, Service};
use wharf_model::ports::{BuildRequest, BuildSettings, PortError};
use wharf_model::{Event, Ulimit};
use wharf_secrets::Redactor;

use super::{Draft, Halt};
use crate::Error;
use crate::api::{BuildContext, DeployRequest};
use crate::engine::Engine;
use crate::run::Run;
use crate::secrets::{self, Opened};
use crate::store::Content;

/// LIMIT: lines of output that wait to be told. The builder goes on when nobody reads, so a burst may lose none.
const LINES_WAITING_MAX: usize = 1_024;

/// Builds what the request asks for and returns the release that it makes.
pub(super) async fn draft(
    engine: &Engine,
    run: &Run,
    request: DeployRequest,
    opened: Opened,
) -> Result<Draft, Halt> {
    let secrets = opened.refs.clone();
    secrets::keep(engine, opened).await?;
    let builds: Vec<(&String, &Service, &Build)> = request
        .project
        .services
        .iter()
        .filter_map(|(name, service)| Some((name, service, service.build.as_ref()?)))
        .collect();
    let mut images = BTreeMap::new();
    if !builds.is_empty() {
        let names: Vec<&str> = builds.iter().map(|(name, ..)| name.as_str()).collect();
        let work = async {
            for (name, service, build) in &builds {
                let context = request.contexts.get(*name).ok_or_else(|| missing(name))?;
                let image =
                    one(engine, run, name, (build, service.platform.as_deref()), context, builds.len() > 1)
                        .await?;
                images.insert((*name).clone(), image);
            }
            let all: Vec<String> =
                images.iter().map(|(name, image)| format!("{name} {}", short(image))).collect();
            Ok(((), all.join(", ")))
        };
        let result = engine.step(run, "build", names.join(", "), work).await;
        run.journal.end_of_output();
        result?;
    }
    let (project, files, contexts) = (request.project, request.files, request.contexts);
    let content = Content { project, images, files, contexts, secrets };
    Ok(Draft::Deploy { content: Box::new(content), message: request.message, expected: request.plan })
}

/// Builds one service and returns the reference by digest.
async fn one(
    engine: &Engine,
    run: &Run,
    name: &str,
    (build, platform): (&Build, Option<&str>),
    context: &BuildContext,
    is_prefixed: bool,
) -> Result<String, Halt> {
    let path = engine.uploads.path(&context.digest).ok_or_else(|| Error::UploadMissing {
        what: format!("services.{name}.build"),
        digest: context.digest.clone(),
    })?;
    let request = BuildRequest {
        reference: reference(engine, run, name),
        context: path,
        dockerfile: context.dockerfile.clone(),
        target: build.target.clone(),
        args: build.args.clone(),
        // No label of ours: a label with the release would give every build a new digest.
        labels: build.labels.clone(),
        settings: settings(build, platform),
    };
    let (sender, mut lines) = mpsc::channel(LINES_WAITING_MAX);
    let tell = async {
        while let Some(line) = lines.recv().await {
            let mut line = if is_prefixed { format!("{name} | {line}") } else { line };
            Redactor::process().clean(&mut line);
            if run.journal.output(&line) {
                engine.emit(Event::DeployOutput { deploy: run.id, line });
            }
        }
    };
    let both = async { tokio::join!(engine.builder.build(request, sender), tell).0 };
    let built = engine.unless_ended(run, both).await?;
    let failed = |error: PortError| {
        let is_step = error.message.starts_with("the build failed") && !error.message.contains("hint: ");
        let hint = "\n  hint: the step's output is above; put it right in the Dockerfile or its context and deploy again";
        let hint = if is_step { hint } else { "" };
        Halt::failed(format!("building {name}: {}{hint}", error.message))
    };
    Ok(built.map_err(failed)?.reference)
}

/// What the file says about the build itself. Without a platform of its own it is for that of the service.
fn settings(build: &Build, platform: Option<&str>) -> BuildSettings {
    let limit = |limit: &project::Ulimit| Ulimit { soft: limit.soft, hard: limit.hard };
    BuildSettings {
        no_cache: build.no_cache,
        pull: build.pull,
        cache_from: build.cache_from.clone(),
        extra_hosts: build.extra_hosts.iter().map(project::ExtraHost::to_engine).collect(),
        network: build.network.clone(),
        platform: build.platforms.first().map(String::as_str).or(platform).map(str::to_owned),
        shm_size_bytes: build.shm_size_bytes,
        ulimits: build.ulimits.iter().map(|(name, one)| (name.clone(), limit(one))).collect(),
        tags: build.tags.clone(),
    }
}

/// Name and tag of a service's image.
fn reference(engine: &Engine, run: &Run, service: &str) -> String {
    format!("{}/{}/{service}:r{}", engine.registry, run.app, run.release())
}

fn missing(name: &str) -> Halt {
    Halt::failed(format!("services.{name}.build: its context did not come along"))
}

/// The digest of a reference as people see it.
fn short(image: &str) -> &str {
    let digest = image.rsplit_once("sha256:").map_or(image, |(_, hex)| hex);
    digest.get(..12).unwrap_or(digest)
}
