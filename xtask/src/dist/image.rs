//! The image of Wharf itself: nothing but the program (and, of one that is not static, its libraries).
//!
//! One archive that both worlds read: an OCI image layout (image-spec 1.1, `image-layout.md`) with the `manifest.json` of
//! `docker save` beside it, both naming the same blobs. `docker load` of Engine 20.10 reads the latter, skopeo and podman
//! the former.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Source;
use crate::command::run as command;

/// Where the server's state is; mounted from the host under the same path, because containers mount files from there.
const DATA: &str = "/var/lib/wharf-server";

/// Makes `wharf_VERSION_ARCHITECTURE.oci.tar` in `out`, which loads as `wharf:VERSION` and `wharf:latest`.
pub(super) fn make(source: &Source, out: &Path) -> anyhow::Result<PathBuf> {
    let program = &source.program;
    let layer = layer(source)?;
    let diff_id = digest(&layer);
    let created = command("date", &["--utc", "--iso-8601=seconds", &format!("--date=@{}", source.epoch)])?;
    let created = created.trim().replace("+00:00", "Z");
    let config = serde_json::to_vec(&json!({
        "created": created,
        "architecture": program.architecture,
        "os": "linux",
        "config": {
            "Entrypoint": ["/usr/bin/wharf"],
            "Cmd": ["--help"],
            "Env": ["PATH=/usr/bin", format!("WHARF_DATA={DATA}")],
            "WorkingDir": "/",
            "StopSignal": "SIGTERM",
            "Labels": {
                "org.opencontainers.image.title": "wharf",
                "org.opencontainers.image.version": program.version,
                "org.opencontainers.image.licenses": "Apache-2.0",
            },
        },
        "rootfs": { "type": "layers", "diff_ids": [diff_id] },
        "history": [{ "created": created, "created_by": "cargo xtask dist" }],
    }))?;
    let layer_blob = descriptor("application/vnd.oci.image.layer.v1.tar", &layer);
    let config_blob = descriptor("application/vnd.oci.image.config.v1+json", &config);
    let manifest = serde_json::to_vec(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config_blob,
        "layers": [layer_blob],
    }))?;
    let mut index = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
    index["annotations"] = json!({ "org.opencontainers.image.ref.name": program.version });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [index],
    });
    let docker = json!([{
        "Config": blob(&config),
        "RepoTags": [format!("wharf:{}", program.version), "wharf:latest"],
        "Layers": [blob(&layer)],
    }]);

    let path = out.join(format!("wharf_{}_{}.oci.tar", program.version, program.architecture));
    let file = std::fs::File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let mut archive = Archive { tar: tar::Builder::new(file), epoch: source.epoch };
    archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#, 0o644)?;
    archive.file("index.json", &serde_json::to_vec(&index)?, 0o644)?;
    archive.file("manifest.json", &serde_json::to_vec(&docker)?, 0o644)?;
    for bytes in [&config, &manifest, &layer] {
        archive.file(&blob(bytes), bytes, 0o644)?;
    }
    archive.tar.into_inner()?.sync_all()?;
    Ok(path)
}

/// The one layer.
fn layer(source: &Source) -> anyhow::Result<Vec<u8>> {
    let mut archive = Archive { tar: tar::Builder::new(Vec::new()), epoch: source.epoch };
    for (folder, mode) in [("usr/", 0o755), ("usr/bin/", 0o755), ("var/", 0o755), ("var/lib/", 0o755)] {
        archive.folder(folder, mode)?;
    }
    archive.folder("tmp/", 0o1777)?;
    archive.folder(&format!("{}/", &DATA[1..]), 0o700)?;
    archive.file("usr/bin/wharf", &std::fs::read(&source.program.path)?, 0o755)?;
    if !source.program.libraries.is_empty() {
        let listed = command("ldd", &[&source.program.path.display().to_string()])?;
        for path in library_paths(&listed) {
            let bytes = std::fs::read(path).with_context(|| format!("cannot read {path}"))?;
            archive.file(&path[1..], &bytes, 0o755)?;
        }
    }
    Ok(archive.tar.into_inner()?)
}

/// Absolute paths in what `ldd` prints: `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x…)`, `/lib64/ld-linux… (0x…)`.
fn library_paths(listed: &str) -> Vec<&str> {
    listed.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/'))).collect()
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The place of a blob in an image layout.
fn blob(bytes: &[u8]) -> String {
    format!("blobs/sha256/{}", hex(bytes))
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": digest(bytes), "size": bytes.len() })
}

/// A tar archive whose files belong to root and have the same time.
struct Archive<W: std::io::Write> {
    tar: tar::Builder<W>,
    epoch: u64,
}

impl<W: std::io::Write> Archive<W> {
    fn header(&self, mode: u32, size: u64, kind: tar::EntryType) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_mtime(self.epoch);
        header.set_uid(0);
        header.set_gid(0);
        header
    }

    fn file(&mut self, path: &str, bytes: &[u8], mode: u32) -> anyhow::Result<()> {
        let mut header = self.header(mode, bytes.len() as u64, tar::EntryType::Regular);
        Ok(self.tar.append_data(&mut header, path, bytes)?)
    }

    fn folder(&mut self, path: &str, mode: u32) -> anyhow::Result<()> {
        let mut header = self.header(mode, 0, tar::EntryType::Directory);
        Ok(self.tar.append_data(&mut header, path, std::io::empty())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_where_ldd_says() {
        let listed = "\tlinux-vdso.so.1 (0x00007f53)\n\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f53)\n\
                      \t/lib64/ld-linux-x86-64.so.2 (0x00007f53)\n";
        assert_eq!(library_paths(listed), ["/lib/x86_64-linux-gnu/libc.so.6", "/lib64/ld-linux-x86-64.so.2"]);
        assert!(library_paths("\tstatically linked\n").is_empty());
    }

    #[test]
    fn a_blob_is_named_by_its_digest() {
        // RFC 6234's digest of nothing.
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!((digest(b""), blob(b"")), (format!("sha256:{empty}"), format!("blobs/sha256/{empty}")));
    }
}
