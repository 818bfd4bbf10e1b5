//! A folder with files, and a registry.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use wharf_image::{ContextLimits, Error, PackedContext, pack_context};
use wharf_test_support::{Child, TempDir, free_addr, temp_dir};

/// A folder to build from, and beside it a place for the archive.
pub(crate) struct Folder {
    dir: TempDir,
}

impl Folder {
    /// Files with their content; folders are made as needed.
    pub(crate) fn with(files: &[(&str, &str)]) -> Folder {
        let folder = Folder { dir: temp_dir() };
        fs::create_dir(folder.path()).unwrap();
        for (name, content) in files {
            folder.write(name, content);
        }
        folder
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("context")
    }

    pub(crate) fn archive(&self) -> PathBuf {
        self.dir.path().join("context.tar")
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    pub(crate) fn pack(&self) -> Result<PackedContext, Error> {
        self.pack_with(None, ContextLimits::default())
    }

    pub(crate) fn pack_with(
        &self,
        dockerfile: Option<&str>,
        limits: ContextLimits,
    ) -> Result<PackedContext, Error> {
        pack_context(&self.path(), dockerfile, &self.archive(), limits)
    }

    /// Names in the archive, as GNU tar reads it.
    pub(crate) fn names(&self) -> Vec<String> {
        list(&self.archive())
    }
}

pub(crate) fn list(archive: &Path) -> Vec<String> {
    let output = Command::new("tar").arg("tf").arg(archive).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Debian's docker-registry on a free port, with its data in a folder that goes away.
pub(crate) struct Registry {
    pub(crate) address: SocketAddr,
    _child: Child,
    _dir: TempDir,
}

impl Registry {
    pub(crate) async fn start() -> Registry {
        let dir = temp_dir();
        let address = free_addr();
        let root = dir.path().display();
        let config = format!(
            "version: 0.1\nstorage: {{ filesystem: {{ rootdirectory: {root} }} }}\nhttp: {{ addr: {address} }}\n"
        );
        let path = dir.path().join("config.yml");
        fs::write(&path, config).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(path);
        let child = Child::spawn(&mut command);
        let listens = async {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), listens).await.expect("docker-registry listens");
        Registry { address, _child: child, _dir: dir }
    }
}
