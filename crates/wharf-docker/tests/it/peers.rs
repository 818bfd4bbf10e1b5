//! What the tests stand on: the Engine, a static program as base image, a registry.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::StreamExt;
use wharf_docker::bollard::models::ContainerCreateBody;
use wharf_docker::bollard::query_parameters::{
    RemoveContainerOptionsBuilder, StartContainerOptions, WaitContainerOptions,
};
use wharf_docker::build::{Build, Builder};
use wharf_docker::{Engine, Output, build};

/// The Engine, or `None` and a line that says so; with `WHARF_REQUIRE=all` a missing one fails.
pub(crate) async fn engine() -> Option<Engine> {
    match Engine::connect_default().await {
        Ok(engine) => Some(engine),
        Err(error) => skip(&error.to_string()),
    }
}

fn skip<T>(reason: &str) -> Option<T> {
    assert!(std::env::var("WHARF_REQUIRE").as_deref() != Ok("all"), "{reason}");
    eprintln!("SKIPPED: {reason}");
    None
}

/// A static program, as small a base image as there is: `say WORD…` prints a line per word, `fail WORD…` does so and
/// exits with 3, `wait` sleeps for ten minutes.
pub(crate) fn tool() -> &'static Path {
    static TOOL: OnceLock<PathBuf> = OnceLock::new();
    TOOL.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let tool = dir.join("tool");
        // Tests run as processes side by side: each has names of its own until the rename.
        let aside = dir.join(format!("tool.{}", std::process::id()));
        let source = aside.with_extension(format!("{}.rs", std::process::id()));
        let code = "fn main() { let words: Vec<String> = std::env::args().skip(1).collect();
            for word in &words[1..] { println!(\"{word}\"); }
            if words[0] == \"fail\" { std::process::exit(3) }
            if words[0] == \"wait\" { std::thread::sleep(std::time::Duration::from_secs(600)) } }";
        if !tool.exists() {
            std::fs::write(&source, code).unwrap();
            let status = Command::new("rustc")
                .args([
                    "--crate-name=tool",
                    "-Ctarget-feature=+crt-static",
                    "-Copt-level=s",
                    "-Cstrip=symbols",
                    "--target",
                    "x86_64-unknown-linux-gnu",
                    "-o",
                ])
                .arg(&aside)
                .arg(&source)
                .status()
                .unwrap();
            assert!(status.success());
            std::fs::rename(&aside, &tool).unwrap();
        }
        tool
    })
}

/// A tar archive with these files; `tool` is added.
pub(crate) struct Context {
    file: tempfile::NamedTempFile,
}

impl Context {
    pub(crate) fn new(files: &[(&str, &str)]) -> Context {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut archive = tar::Builder::new(file.reopen().unwrap());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        archive.append_path_with_name(tool(), "tool").unwrap();
        archive.finish().unwrap();
        Context { file }
    }

    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }
}

/// Builds an image named `wharf-docker-test:NAME` that is nothing but the tool.
pub(crate) async fn tool_image(engine: &Engine, name: &str) -> String {
    let context = Context::new(&[("Dockerfile", "FROM scratch\nCOPY tool /tool\nENTRYPOINT [\"/tool\"]\n")]);
    let tag = format!("wharf-docker-test:{name}");
    let none = BTreeMap::new();
    let request = Build {
        tag: &tag,
        context: context.path(),
        dockerfile: "Dockerfile",
        target: None,
        args: &none,
        labels: &none,
        no_cache: false,
    };
    build::run(engine, Builder::Auto, &request, &mut Output::discard()).await.unwrap();
    tag
}

/// A container that runs.
pub(crate) struct Container {
    engine: Engine,
    id: String,
}

pub(crate) async fn container(engine: &Engine, image: &str, command: &[&str]) -> Container {
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        cmd: Some(command.iter().map(|&word| word.to_owned()).collect()),
        ..Default::default()
    };
    let options = None::<bollard::query_parameters::CreateContainerOptions>;
    let id = engine.docker().create_container(options, body).await.unwrap().id;
    engine.docker().start_container(&id, None::<StartContainerOptions>).await.unwrap();
    Container { engine: engine.clone(), id }
}

impl Container {
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) async fn wait(&self) {
        let mut ended = self.engine.docker().wait_container(&self.id, None::<WaitContainerOptions>);
        ended.next().await;
    }

    pub(crate) async fn remove(self) {
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        self.engine.docker().remove_container(&self.id, Some(options)).await.unwrap();
    }
}

/// Debian's docker-registry on a free port, with its data in a folder that goes away.
pub(crate) struct Registry {
    child: Child,
    pub(crate) address: SocketAddr,
    _dir: tempfile::TempDir,
}

impl Registry {
    pub(crate) async fn start() -> Option<Registry> {
        let dir = tempfile::tempdir().unwrap();
        let address = free_address();
        let config = format!(
            "version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: {} }} }}\nhttp: {{ addr: {address} }}\n",
            dir.path().display()
        );
        let config_path = dir.path().join("config.yml");
        std::fs::write(&config_path, config).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(config_path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match child {
            Ok(child) => child,
            Err(error) => return skip(&format!("cannot start docker-registry: {error}")),
        };
        let registry = Registry { child, address, _dir: dir };
        let listens = async {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), listens).await.expect("docker-registry listens");
        Some(registry)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
