//! A server on the state of a directory, and requests to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use wharf_base::{SystemClock, Tasks};
use wharf_deploy::api::{BuildContext, DeployRequest, DeployState, DeployView, StreamItem};
use wharf_deploy::{Config, Deps, Handle};
use wharf_state::Database;

use crate::world::{World, name};

/// A server in the world.
pub(crate) struct Server {
    pub(crate) handle: Handle,
    pub(crate) tasks: Tasks,
}

/// Starts a server on the state in `data`.
///
/// It looks at draining hosts only when agents report: a timer that fires all the time would let the paused clock run
/// away whenever the database is waited for.
pub(crate) async fn server(world: &Arc<World>, data: &Path) -> Server {
    server_with(world, data, Config { move_check: Duration::from_secs(86_400), ..Config::default() }).await
}

pub(crate) async fn server_with(world: &Arc<World>, data: &Path, config: Config) -> Server {
    let tasks = Tasks::new();
    let deps = Deps {
        hosts: world.clone(),
        calls: world.clone(),
        pools: world.clone(),
        builder: world.clone(),
        platforms: Some(world.clone()),
        images: world.clone(),
        events: world.clone(),
        database: Database::open(&data.join("state.db")).unwrap(),
        vault: Arc::new(wharf_secrets::Vault::open(&data.join("secrets")).unwrap()),
        clock: Arc::new(SystemClock),
        data: data.join("deploy"),
        registry: "reg:5000".to_owned(),
        fixed_routes: wharf_deploy::FixedRoutes::default(),
    };
    let handle = wharf_deploy::start(config, deps, &tasks).await.unwrap();
    Server { handle, tasks }
}

impl Server {
    /// Ends at once, whatever runs, as a killed process does.
    pub(crate) async fn kill(self) {
        self.tasks.stop(Duration::ZERO).await;
    }

    /// Starts a deploy and waits for its end.
    pub(crate) async fn deploy(&self, services: Value) -> DeployView {
        let started = self.handle.deploy(&name("shop"), request(services), "ann").await.unwrap();
        self.end_of(started.deploy).await
    }

    /// Waits for the end of a deploy.
    pub(crate) async fn end_of(&self, deploy: u64) -> DeployView {
        self.story_of(deploy).await;
        self.handle.deploy_view(deploy).await.unwrap()
    }

    /// Everything that its stream tells, to the end.
    pub(crate) async fn story_of(&self, deploy: u64) -> Vec<StreamItem> {
        let items: Vec<(usize, StreamItem)> = self.handle.stream(deploy, 0).await.unwrap().collect().await;
        assert!(items.iter().enumerate().all(|(index, (position, _))| index == *position));
        items.into_iter().map(|(_, item)| item).collect()
    }

    /// Waits until a deploy tells of a step, and what it says of it.
    pub(crate) async fn step_of(&self, deploy: u64, step: &str) -> String {
        let mut items = std::pin::pin!(self.handle.stream(deploy, 0).await.unwrap());
        while let Some((_, item)) = items.next().await {
            if let StreamItem::Step(told) = item
                && told.step == step
            {
                return told.detail;
            }
        }
        panic!("deploy {deploy} has ended without {step}");
    }

    /// Stores a context for the builder and returns a request that builds `web` from it.
    pub(crate) async fn built(&self, content: &str) -> DeployRequest {
        let digest = self.handle.upload(axum::body::Body::from(content.to_owned())).await.unwrap().digest;
        let mut web = web("ignored", 1);
        web["build"] = json!({ "context": "." });
        let mut request = request(json!({ "web": web }));
        let context = BuildContext { digest, dockerfile: "Dockerfile".to_owned() };
        request.contexts.insert("web".to_owned(), context);
        request
    }
}

pub(crate) fn request(services: Value) -> DeployRequest {
    let project = json!({ "name": "shop", "services": services, "volumes": { "data": {} } });
    DeployRequest { project: serde_json::from_value(project).unwrap(), ..DeployRequest::default() }
}

/// A routed service.
pub(crate) fn web(image: &str, replicas: u32) -> Value {
    json!({ "image": image, "deploy": { "replicas": replicas }, "healthcheck": { "test": ["CMD", "x"] },
        "x_wharf": { "route": { "host": null, "path": "/", "port": 80, "balance": "round_robin", "timeout": null } } })
}

/// A service with data.
pub(crate) fn db(image: &str) -> Value {
    json!({ "image": image,
        "volumes": [{ "kind": "volume", "source": "data", "target": "/data", "read_only": false }] })
}

/// The deploy ended well; shows why if not.
#[track_caller]
pub(crate) fn assert_ok(view: &DeployView) {
    assert_eq!(view.state, DeployState::Succeeded, "{view:#?}");
}

/// Why it failed, without what to do next.
pub(crate) fn first_line(view: &DeployView) -> &str {
    view.error.as_deref().and_then(|error| error.lines().next()).unwrap_or_default()
}

/// Names of the steps, in order.
pub(crate) fn steps(view: &DeployView) -> Vec<&str> {
    assert!(view.steps.iter().all(|step| step.ended), "{view:#?}");
    view.steps.iter().map(|step| step.step.as_str()).collect()
}

pub(crate) fn map<const N: usize>(entries: [(&str, u32); N]) -> BTreeMap<String, u32> {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}
