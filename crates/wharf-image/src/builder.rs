//! The port `ImageBuilder`: wait for a turn, build, push, return the reference by digest.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Semaphore, mpsc};
use wharf_base::{Clock, Shutdown, Tasks};
use wharf_docker::build::{self, Build};
use wharf_docker::{Credentials, Engine, Output, push};
use wharf_model::ports::{BuildRequest, BuildSettings, BuiltImage, ImageBuilder, PortError};

use crate::records::Records;
use crate::{BuildsView, Config, Error};

/// What the builder needs.
pub struct Deps {
    /// Address of the Engine that builds, a path or `unix:///path`. It is connected to for each build, so that it
    /// may start later than we or be restarted.
    pub engine: String,
    /// For the registry, if it asks.
    pub credentials: Option<Credentials>,
    /// Tells when builds began and ended.
    pub clock: Arc<dyn Clock>,
}

/// Builds images. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    deps: Deps,
    turns: Semaphore,
    records: Records,
    shutdown: Shutdown,
}

/// Makes the builder. It has no background work; builds run in their callers and end when `tasks` are stopped.
pub fn start(config: Config, deps: Deps, tasks: &Tasks) -> Handle {
    let turns = Semaphore::new(config.concurrent_max.max(1));
    let records = Records::new(Arc::clone(&deps.clock));
    Handle { inner: Arc::new(Inner { config, deps, turns, records, shutdown: tasks.shutdown() }) }
}

impl Handle {
    /// What runs, waits and has ended.
    pub fn builds(&self) -> BuildsView {
        self.inner.records.view()
    }

    /// Removes an image from the Engine that builds, unless a container uses it.
    pub async fn remove_image(&self, reference: &str) -> Result<(), Error> {
        let engine = Engine::connect(&self.inner.deps.engine).await?;
        if wharf_docker::remove_image(&engine, reference).await? == wharf_docker::Removed::InUse {
            tracing::info!(reference, "an image of an old release stays: a container uses it");
        }
        Ok(())
    }

    /// Builds and pushes. See [`ImageBuilder::build`].
    pub async fn build_image(
        &self,
        request: &BuildRequest,
        output: &mut Output,
    ) -> Result<BuiltImage, Error> {
        let stop = || Error::Stopping(request.reference.clone());
        tokio::select! {
            built = self.in_turn(request, output) => built,
            () = self.inner.shutdown.cancelled() => Err(stop()),
        }
    }

    async fn in_turn(&self, request: &BuildRequest, output: &mut Output) -> Result<BuiltImage, Error> {
        let Inner { config, turns, records, .. } = &*self.inner;
        let reference = &request.reference;
        let _turn = match turns.try_acquire() {
            Ok(turn) => turn,
            Err(_) => {
                let Some(_waiting) = records.waiting(config.waiting_max) else {
                    records.refused();
                    return Err(Error::Busy { reference: reference.clone(), waiting: config.waiting_max });
                };
                output.line("waiting for other builds to end").await;
                turns.acquire().await.expect("the semaphore is never closed")
            }
        };
        let running = records.running(reference);
        let work = tokio::time::timeout(config.timeout, self.build_and_push(request, output));
        let built = match work.await {
            Ok(built) => built,
            Err(_) => Err(Error::TimedOut { reference: reference.clone(), after: config.timeout }),
        };
        running.end(built.as_ref().map(|image| image.reference.clone()).map_err(Error::to_string));
        built
    }

    async fn build_and_push(&self, request: &BuildRequest, output: &mut Output) -> Result<BuiltImage, Error> {
        let Inner { config, deps, .. } = &*self.inner;
        let engine = Engine::connect(&deps.engine).await?;
        let build = Build {
            tag: &request.reference,
            context: &request.context,
            dockerfile: &request.dockerfile,
            target: request.target.as_deref(),
            args: &request.args,
            labels: &request.labels,
            no_cache: request.settings.no_cache,
            settings: settings(&request.settings),
        };
        let id = build::run(&engine, config.builder.into(), &build, output).await?;
        output.line(&format!("built {}, pushing {}", id.short(), request.reference)).await;
        let digest = push(&engine, &request.reference, deps.credentials.as_ref(), output).await?;
        tracing::info!(reference = request.reference, %digest, "image built and pushed");
        let reference = format!("{}@{digest}", without_tag(&request.reference));
        output.line(&format!("pushed {reference}")).await;
        Ok(BuiltImage { reference, digest })
    }
}

fn settings(asked: &BuildSettings) -> build::Settings {
    build::Settings {
        pull: asked.pull,
        cache_from: asked.cache_from.clone(),
        extra_hosts: asked.extra_hosts.clone(),
        network: asked.network.clone(),
        platform: asked.platform.clone(),
        shm_size_bytes: asked.shm_size_bytes,
        ulimits: asked.ulimits.iter().map(|(name, limit)| (name.clone(), (limit.soft, limit.hard))).collect(),
        tags: asked.tags.clone(),
    }
}

#[async_trait]
impl ImageBuilder for Handle {
    async fn build(
        &self,
        request: BuildRequest,
        output: mpsc::Sender<String>,
    ) -> Result<BuiltImage, PortError> {
        Ok(self.build_image(&request, &mut Output::to(output)).await?)
    }
}

/// `host:5000/name` of `host:5000/name:tag`.
fn without_tag(reference: &str) -> &str {
    let last_name = reference.rfind('/').map_or(0, |slash| slash + 1);
    match reference[last_name..].find(':') {
        Some(colon) => &reference[..last_name + colon],
        None => reference,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_taken_off_and_ports_are_not() {
        assert_eq!(without_tag("127.0.0.1:5000/shop/web:r3"), "127.0.0.1:5000/shop/web");
        assert_eq!(without_tag("127.0.0.1:5000/shop/web"), "127.0.0.1:5000/shop/web");
    }
}
