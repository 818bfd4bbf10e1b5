//! What the tests stand on: the Engine, a static program as base image, a registry.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::StreamExt;
use wharf_docker::bollard::models::ContainerCreateBody;
use wharf_docker::bollard::query_parameters::{
    RemoveContainerOptionsBuilder, StartContainerOptions, WaitContainerOptions,
};
use wharf_docker::build::{Build, Builder};
use wharf_docker::{Engine, Output, build};
use wharf_test_support::{Child, TempDir, free_addr, temp_dir};

/// The Engine of this machine.
pub(crate) async fn engine() -> Engine {
    Engine::connect_default().await.unwrap()
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
    path: PathBuf,
    _dir: TempDir,
}

impl Context {
    pub(crate) fn new(files: &[(&str, &str)]) -> Context {
        let dir = temp_dir();
        let path = dir.path().join("context.tar");
        let mut archive = tar::Builder::new(std::fs::File::create(&path).unwrap());
        for (name, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            archive.append_data(&mut header, name, content.as_bytes()).unwrap();
        }
        archive.append_path_with_name(tool(), "tool").unwrap();
        archive.finish().unwrap();
        Context { path, _dir: dir }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
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
        settings: Default::default(),
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
    pub(crate) address: SocketAddr,
    _child: Child,
    _dir: TempDir,
}

impl Registry {
    pub(crate) async fn start() -> Registry {
        Registry::start_with(false).await
    }

    /// One that wants user `ci` with password `right`.
    pub(crate) async fn start_with_password() -> Registry {
        Registry::start_with(true).await
    }

    async fn start_with(has_password: bool) -> Registry {
        let dir = temp_dir();
        // bcrypt of `right`, as `htpasswd -B` writes it.
        let line = "ci:$2b$05$abcdefghijklmnopqrstuu8xaCxxL82bnl.UY74PMksDxIJShppPC\n";
        let passwords = dir.path().join("htpasswd");
        std::fs::write(&passwords, line).unwrap();
        let auth = match has_password {
            true => format!("auth: {{ htpasswd: {{ realm: test, path: {} }} }}\n", passwords.display()),
            false => String::new(),
        };
        let address = free_addr();
        let root = dir.path().display();
        let config = format!(
            "version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: {root} }} }}\nhttp: {{ addr: {address} }}\n{auth}"
        );
        let path = dir.path().join("config.yml");
        std::fs::write(&path, config).unwrap();
        let mut command = Command::new("docker-registry");
        let child = Child::spawn(command.arg("serve").arg(path));
        let listens = async {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), listens).await.expect("docker-registry listens");
        Registry { address, _child: child, _dir: dir }
    }
}
