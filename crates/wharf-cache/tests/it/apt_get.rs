//! The real apt-get, with an archive of our own that then goes away.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use tokio::process::Command;
use wharf_test_support::require;

use crate::origin::Origin;
use crate::support::{Cache, in_release, publish};

/// apt-get with a state of its own below `root`, on the archive through the cache.
async fn apt_get(root: &Path, cache: &Cache, origin: &Origin, arguments: &[&str]) -> Output {
    for directory in
        ["state/lists/partial", "cache/archives/partial", "etc/apt.conf.d", "etc/preferences.d", "log"]
    {
        std::fs::create_dir_all(root.join(directory)).unwrap();
    }
    std::fs::write(root.join("status"), "").unwrap();
    let key = root.with_file_name("key.gpg");
    let source = format!("deb [signed-by={} arch=amd64] {}/debian x main\n", key.display(), origin.url());
    std::fs::write(root.join("etc/sources.list"), source).unwrap();
    let path = |name: &str| root.join(name).display().to_string();
    let options = [
        format!("Dir::State={}", path("state")),
        format!("Dir::State::status={}", path("status")),
        format!("Dir::Cache={}", path("cache")),
        format!("Dir::Etc={}", path("etc")),
        format!("Dir::Log={}", path("log")),
        format!("Acquire::http::Proxy=http://{}", cache.address),
        "Acquire::Languages=none".to_owned(),
        "APT::Sandbox::User=root".to_owned(),
        "APT::Architecture=amd64".to_owned(),
    ];
    let mut command = Command::new("apt-get");
    // Settings of this machine have no say.
    command.env("APT_CONFIG", "/dev/null").env_remove("http_proxy").env_remove("no_proxy");
    for option in options {
        command.args(["-o", &option]);
    }
    command.args(arguments).current_dir(root).output().await.unwrap()
}

fn deb(directory: &Path) -> Vec<u8> {
    let tree = directory.join("tree");
    std::fs::create_dir_all(tree.join("DEBIAN")).unwrap();
    let control =
        "Package: hello\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.org>\nDescription: x\n";
    std::fs::write(tree.join("DEBIAN/control"), control).unwrap();
    let file = directory.join("hello.deb");
    let built = std::process::Command::new("dpkg-deb").arg("--build").arg(&tree).arg(&file).output().unwrap();
    assert!(built.status.success(), "{built:?}");
    std::fs::read(file).unwrap()
}

/// Signs the archive's release file with a key of its own, `key.gpg` in `directory`.
fn sign(directory: &Path, origin: &Origin, text: &str) {
    let home = directory.join("gnupg");
    std::fs::create_dir(&home).unwrap();
    std::fs::set_permissions(&home, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::write(directory.join("Release"), text).unwrap();
    let gpg = |arguments: &[&str]| {
        let mut command = std::process::Command::new("gpg");
        command.arg("--homedir").arg(&home).args(["--batch", "--yes", "--passphrase", ""]).args(arguments);
        let output = command.current_dir(directory).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    };
    gpg(&["--quick-gen-key", "x@example.org", "ed25519", "sign", "never"]);
    gpg(&["--output", "key.gpg", "--export"]);
    gpg(&["--output", "InRelease", "--clearsign", "Release"]);
    // The agent that gpg has started ends with its directory; no need to wait for that.
    let _ =
        std::process::Command::new("gpgconf").arg("--homedir").arg(&home).args(["--kill", "all"]).output();
    origin.put("/debian/dists/x/InRelease", std::fs::read(directory.join("InRelease")).unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn apt_get_downloads_through_the_cache_and_again_without_the_archive() {
    require!(Command("apt-get"), Command("dpkg-deb"), Command("gpg"));
    let (data, work, mut origin) =
        (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), Origin::start().await);
    let bytes = deb(work.path());
    let packages = publish(&origin, &[("pool/main/h/hello_1_all.deb", &bytes)], true);
    sign(work.path(), &origin, &in_release(&packages, true));
    let cache = Cache::start(data.path(), &origin).await;
    for round in ["online", "offline"] {
        let root = work.path().join(round);
        std::fs::create_dir(&root).unwrap();
        for arguments in [&["update"][..], &["download", "hello"][..]] {
            let output = apt_get(&root, &cache, &origin, arguments).await;
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success() && !errors.contains("E:"), "{round} {arguments:?}: {errors}");
        }
        assert!(std::fs::read(root.join("hello_1_all.deb")).unwrap() == bytes, "{round}");
        if round == "online" {
            origin.stop().await;
            cache.clock.advance(std::time::Duration::from_secs(3_600));
        }
    }
    let counts = cache.handle.stats().await.unwrap().ecosystems[0].counts;
    assert_eq!(counts.passed, 0, "everything was verified: {counts:?}");
    cache.stop().await;
}
