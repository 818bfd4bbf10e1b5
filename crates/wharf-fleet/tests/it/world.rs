//! A server and agents in this process, on the machine's real Engine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use wharf_base::{Clock, Digest, SystemClock, Tasks};
use wharf_fleet::agent::{self, AgentDeps, AgentHandle, Identity, JoinOptions};
use wharf_fleet::server::{LocalHost, NewToken, RegistryPlace};
use wharf_fleet::{AgentConfig, Config, Deps, Error, Handle};
use wharf_http::pki::{Authority, ClientAuth};
use wharf_http::{Client, Endpoint, ServerOptions};
use wharf_model::ports::Hosts as _;
use wharf_model::{
    AppDesired, Balance, Change, ContainerSpec, Instance, InstanceReport, InstanceState, Name, Observed,
    RouteSpec,
};
use wharf_state::{Database, EventLog};
use wharf_test_support::{DEADLINE, TempDir, free_port, temp_dir};

/// One installation: the directories of its server and agents.
pub(crate) struct World {
    pub(crate) directory: TempDir,
    pub(crate) app: Name,
    image: String,
    agents_port: u16,
    api_port: u16,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: Config,
    pub(crate) local: Option<Name>,
    pub(crate) agent_config: AgentConfig,
    pub(crate) certificate_lifetime: Duration,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) tasks: Tasks,
    pub(crate) handle: Handle,
    pub(crate) events: EventLog,
    pub(crate) client: Client,
    pub(crate) authority: Arc<Authority>,
}

/// A running agent.
pub(crate) struct Agent {
    tasks: Tasks,
    handle: AgentHandle,
}

pub(crate) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

impl World {
    pub(crate) fn new() -> World {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        World {
            directory: temp_dir(),
            app: name(&format!("fleet-test-{}-{number}", std::process::id())),
            image: crate::image::ensure(),
            agents_port: free_port(),
            api_port: free_port(),
            clock: Arc::new(SystemClock),
            config: Config::default(),
            local: None,
            agent_config: AgentConfig::default(),
            certificate_lifetime: wharf_http::pki::LIFETIME,
        }
    }

    pub(crate) fn with_local_host() -> World {
        let mut world = World::new();
        world.local = Some(name("local"));
        world
    }

    pub(crate) fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.api_port)
    }

    pub(crate) fn path(&self, part: &str) -> PathBuf {
        let path = self.directory.path().join(part);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    pub(crate) async fn server(&self) -> Server {
        let tasks = Tasks::new();
        let data = self.path("server");
        let database = Database::open(&data.join("state.db")).unwrap();
        let events = EventLog::open(database.clone(), Arc::clone(&self.clock), &tasks).await.unwrap();
        let authority = Authority::load_or_create(&data.join("ca")).unwrap();
        let authority = Arc::new(authority.with(self.certificate_lifetime, Arc::clone(&self.clock)));
        let bundles = self.path("bundles");
        let deps = Deps {
            database,
            events: Arc::new(events.clone()),
            clock: Arc::clone(&self.clock),
            authority: Arc::clone(&authority),
            server_address: "127.0.0.1".to_owned(),
            api_url: self.url(),
            registry: Some(RegistryPlace {
                address: "127.0.0.1:5999".to_owned(),
                ca: Some(authority.certificate_pem().to_owned()),
            }),
            secrets: Arc::new(wharf_secrets::Vault::open(&self.path("secrets")).unwrap()),
            files: Arc::new(move |digest: &Digest| {
                Some(bundles.join(digest.hex())).filter(|path| path.exists())
            }),
            local_host: self.local.clone().map(|name| LocalHost { name, labels: BTreeMap::new() }),
        };
        let listen = vec![([127, 0, 0, 1], self.agents_port).into()];
        let config = Config { listen, ..self.config.clone() };
        let handle = wharf_fleet::start(config, deps, &tasks).await.unwrap();

        let address = ([127, 0, 0, 1], self.api_port).into();
        let listener = wharf_http::bind("api.listen", &[address]).await.unwrap().remove(0);
        let tls = authority.server_config(&["127.0.0.1".to_owned()], ClientAuth::None).unwrap();
        let api = axum::Router::from(wharf_fleet::routes(&handle).merge(wharf_fleet::join_routes(&handle)));
        let router = axum::Router::new().nest("/api/v1", api);
        wharf_http::serve("api", listener, Some(tls), router, ServerOptions::default(), &tasks);
        let trust = wharf_http::pki::Trust::Authority(authority.certificate_pem().to_owned());
        let tls = wharf_http::pki::client_config(&trust, None).unwrap();
        let client = Client::new(Endpoint::parse(&self.url(), Some(tls)).unwrap());
        Server { tasks, handle, events, client, authority }
    }

    pub(crate) fn join_options(&self, token: &str, host: &str) -> JoinOptions {
        JoinOptions {
            url: self.url(),
            token: token.to_owned(),
            name: name(host),
            labels: BTreeMap::from([("pool".to_owned(), "web".to_owned())]),
            address: Some("127.0.0.1".parse().unwrap()),
            data: self.path(host),
            certs_dir: Some(self.path("certs.d")),
        }
    }

    /// Joins with a new token.
    pub(crate) async fn join(&self, server: &Server, host: &str) -> Result<Identity, Error> {
        let token = server.handle.make_token(NewToken::default(), "test").await.unwrap();
        agent::join(self.join_options(&token.token, host)).await
    }

    /// Starts the agent of a host that has joined.
    pub(crate) async fn agent(&self, host: &str) -> Agent {
        self.start_agent(AgentDeps::joined(self.path(host), Arc::clone(&self.clock)).unwrap()).await
    }

    /// Starts the agent inside of the server.
    pub(crate) async fn inside_agent(&self, server: &Server) -> Agent {
        let host = self.local.clone().unwrap();
        let deps = AgentDeps {
            data: self.path("local"),
            connector: server.handle.inside(host.clone()),
            host,
            published: None,
            registry: server.handle.local_registry_account(),
            clock: Arc::clone(&self.clock),
        };
        self.start_agent(deps).await
    }

    pub(crate) async fn start_agent(&self, deps: AgentDeps) -> Agent {
        let tasks = Tasks::new();
        let handle = agent::start(self.agent_config.clone(), deps, &tasks).await.unwrap();
        Agent { tasks, handle }
    }

    /// An instance of the test's application that runs the test's program with these words.
    pub(crate) fn instance(&self, host: &str, service: &str, words: &[&str]) -> Instance {
        Instance {
            id: format!("{}-{service}-r1-1", self.app),
            service: name(service),
            release: 1,
            slot: 1,
            host: name(host),
            spec: ContainerSpec {
                image: self.image.clone(),
                command: Some(words.iter().map(|&word| word.to_owned()).collect()),
                // The program is process 1 and handles no signal: anything else would wait for the grace to end.
                stop_signal: Some("SIGKILL".to_owned()),
                ..Default::default()
            },
            serve: None,
            probe: None,
            after: BTreeMap::new(),
        }
    }

    /// The image of every instance.
    pub(crate) fn image(&self) -> String {
        self.image.clone()
    }

    pub(crate) fn desired(&self, instances: Vec<Instance>) -> AppDesired {
        AppDesired { release: 1, instances, ..Default::default() }
    }

    /// A route that sends everything to one release of a service.
    pub(crate) fn route(&self, service: &str, release: u32) -> RouteSpec {
        RouteSpec {
            service: name(service),
            release,
            host: None,
            path: "/".to_owned(),
            balance: Balance::RoundRobin,
            timeout_ms: None,
            health_path: None,
            health: None,
        }
    }

    pub(crate) async fn commit(&self, server: &Server, desired: Option<AppDesired>) -> u64 {
        let change =
            Change { author: "test".to_owned(), reason: "test".to_owned(), app: self.app.clone(), desired };
        server.handle.commit(change).await.unwrap()
    }

    /// Ids of the containers of the test's application, running or not.
    pub(crate) fn containers(&self) -> Vec<String> {
        docker(&["ps", "-aq", "--no-trunc", "--filter", &format!("label=wharf.app={}", self.app)])
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let containers = self.containers();
        if !containers.is_empty() {
            let arguments: Vec<&str> =
                ["rm", "-f", "-v"].into_iter().chain(containers.iter().map(String::as_str)).collect();
            docker(&arguments);
        }
        for kind in ["network", "volume"] {
            for one in docker(&[kind, "ls", "-q", "--filter", &format!("label=wharf.app={}", self.app)]) {
                docker(&[kind, "rm", &one]);
            }
        }
    }
}

impl Server {
    /// Waits until what is observed fulfils the condition, and returns it.
    pub(crate) async fn observe(&self, what: &str, is_so: impl FnMut(&Observed) -> bool) -> Arc<Observed> {
        let mut observed = self.handle.observed();
        wait(&mut observed, what, is_so).await
    }

    /// Waits until the one instance of a service is in a state that fulfils the condition, and returns its report.
    pub(crate) async fn instance(
        &self,
        service: &str,
        is_so: impl Fn(&InstanceReport) -> bool,
    ) -> InstanceReport {
        let find = |observed: &Observed| {
            let all = observed.hosts.values().flat_map(|(_, report)| &report.instances);
            let mut fitting = all.filter(|one| one.service == name(service) && is_so(one));
            fitting.next().cloned()
        };
        let observed = self.observe(service, |observed| find(observed).is_some()).await;
        find(&observed).unwrap()
    }

    pub(crate) async fn healthy(&self, service: &str) -> InstanceReport {
        self.instance(service, |one| one.state == InstanceState::Healthy).await
    }

    /// Waits until a host has converged to a generation.
    pub(crate) async fn converged(&self, host: &str, generation: u64) {
        let what = format!("{host} to converge to {generation}");
        self.observe(&what, |observed| {
            observed.hosts.get(&name(host)).is_some_and(|(_, report)| report.generation >= generation)
        })
        .await;
    }

    pub(crate) async fn stop(self) {
        let report = self.tasks.stop(Duration::from_secs(10)).await;
        assert!(report.aborted.is_empty() && report.panicked == 0, "{report:?}");
    }
}

impl Drop for Agent {
    /// In a test that fails: an agent that goes on would make again what the world's end removes.
    fn drop(&mut self) {
        self.tasks.shutdown().cancel();
    }
}

impl Agent {
    pub(crate) fn reports(&self) -> watch::Receiver<Arc<wharf_model::HostReport>> {
        self.handle.reports()
    }

    pub(crate) async fn stop(self) {
        let report = self.tasks.stop(Duration::from_secs(10)).await;
        assert!(report.aborted.is_empty() && report.panicked == 0, "{report:?}");
    }
}

/// Waits for a watched value; panics with the last one.
pub(crate) async fn wait<T: std::fmt::Debug>(
    values: &mut watch::Receiver<Arc<T>>,
    what: &str,
    mut is_so: impl FnMut(&T) -> bool,
) -> Arc<T> {
    let found = tokio::time::timeout(DEADLINE, values.wait_for(|value| is_so(value))).await;
    let found = found.ok().map(|value| value.unwrap().clone());
    found.unwrap_or_else(|| panic!("waited for {what}, have {:#?}", *values.borrow()))
}

/// Words that a docker command prints.
pub(crate) fn docker(arguments: &[&str]) -> Vec<String> {
    let output = Command::new("docker").args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
}

pub(crate) fn inspect(container: &str, format: &str) -> String {
    docker(&["inspect", "--format", format, container]).join(" ")
}
