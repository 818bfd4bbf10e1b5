//! Packs and uploads what a deploy refers to: build contexts, and files that are mounted.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use bytes::Bytes;
use futures_util::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use tokio_util::io::ReaderStream;
use wharf_compose::project::{MountKind, Project};
use wharf_deploy::api::{BuildContext, DeployRequest, Uploaded, UploadedFile, config_upload};
use wharf_http::Client;
use wharf_image::{ContextLimits, pack_context};

use super::super::project::Application;
use super::inputs;
use crate::failure::usage;
use crate::output::{Output, bytes};

/// A build's context, the path of its Dockerfile, and the Dockerfile itself where that is in the Compose file.
type Source = (String, Option<String>, Option<String>);

/// Uploads everything and returns the request that names it. Equal contexts are uploaded once.
pub(super) async fn all(
    client: &Client,
    application: Application,
    message: String,
    output: Output,
) -> anyhow::Result<DeployRequest> {
    let configs = inputs::configs(&application)?;
    let Application { mut project, places, directory, .. } = application;
    inputs::read_profiles(&mut project, &directory)?;
    let mut contexts = BTreeMap::new();
    let mut packed: BTreeMap<Source, BuildContext> = BTreeMap::new();
    for (name, service) in &mut project.services {
        let Some(build) = &mut service.build else { continue };
        let key = (build.context.clone(), build.dockerfile.clone(), build.dockerfile_inline.clone());
        if !packed.contains_key(&key) {
            let context =
                context(client, &directory, &key, output).await.with_context(|| format!("service {name}"))?;
            packed.insert(key.clone(), context);
        }
        contexts.insert(name.clone(), packed[&key].clone());
    }
    let mut files = files(client, &mut project, &directory, output).await?;
    for (key, config) in configs {
        output.progress(&format!("uploading config {key} …"));
        let Uploaded { digest, size } = upload(client, &config.path).await?;
        files.insert(config_upload(&key), UploadedFile { digest, size, is_file: true });
        output.progress_done();
    }
    Ok(DeployRequest { project, contexts, files, places, message, ..DeployRequest::default() })
}

async fn context(
    client: &Client,
    directory: &Path,
    (context, dockerfile, inline): &Source,
    output: Output,
) -> anyhow::Result<BuildContext> {
    let inline = inline.as_deref().map(inputs::inline_dockerfile).transpose()?;
    let folder = directory.join(context);
    output.progress(&format!("packing {} …", folder.display()));
    let archive = Scratch::new("context.tar")?;
    let inline_path = inline.as_ref().map(|file| file.path.display().to_string());
    let (path, dockerfile) = (archive.path.clone(), inline_path.or_else(|| dockerfile.clone()));
    let packed = tokio::task::spawn_blocking(move || {
        pack_context(&folder, dockerfile.as_deref(), &path, ContextLimits::default())
    })
    .await??;
    output.progress(&format!("uploading {} files, {} …", packed.entries, bytes(packed.bytes)));
    let uploaded = upload(client, &archive.path).await?;
    output.progress_done();
    Ok(BuildContext { digest: uploaded.digest, dockerfile: packed.dockerfile })
}

/// Relative bind mounts travel as read-only copies; a writable one is refused by the server, which says how to change it.
async fn files(
    client: &Client,
    project: &mut Project,
    directory: &Path,
    output: Output,
) -> anyhow::Result<BTreeMap<String, UploadedFile>> {
    let mut files = BTreeMap::new();
    let mounts = project.services.values().flat_map(|service| &service.volumes);
    let sources: Vec<String> = mounts
        .filter(|mount| mount.kind == MountKind::Bind && mount.read_only)
        .filter_map(|mount| mount.source.clone())
        .filter(|source| !source.starts_with('/') && !source.starts_with('~'))
        .collect();
    for source in sources {
        if files.contains_key(&source) {
            continue;
        }
        output.progress(&format!("uploading {source} …"));
        let path = directory.join(&source);
        let archive = Scratch::new("files.tar")?;
        let (from, to) = (path.clone(), archive.path.clone());
        let is_file = tokio::task::spawn_blocking(move || pack_files(&from, &to)).await??;
        let Uploaded { digest, size } = upload(client, &archive.path).await?;
        files.insert(source, UploadedFile { digest, size, is_file });
        output.progress_done();
    }
    Ok(files)
}

/// Packs a file (under its own name) or a folder's content. Returns whether it is a file.
fn pack_files(from: &Path, to: &Path) -> anyhow::Result<bool> {
    let metadata = std::fs::metadata(from).map_err(|error| {
        usage(format!(
            "cannot mount {}: {error}\n  hint: the path is relative to the Compose file",
            from.display()
        ))
    })?;
    let mut archive = tar::Builder::new(std::fs::File::create(to)?);
    archive.mode(tar::HeaderMode::Deterministic);
    archive.follow_symlinks(false);
    if metadata.is_file() {
        let name = from.file_name().context("the path has no last part")?;
        archive.append_path_with_name(from, name)?;
    } else {
        archive.append_dir_all(".", from).with_context(|| format!("cannot pack {}", from.display()))?;
    }
    archive.into_inner()?.sync_all()?;
    Ok(metadata.is_file())
}

async fn upload(client: &Client, path: &Path) -> anyhow::Result<Uploaded> {
    let file =
        tokio::fs::File::open(path).await.with_context(|| format!("cannot read {}", path.display()))?;
    // 256 KiB per read: smaller ones cost more system calls, larger ones gain nothing on loopback.
    let chunks = ReaderStream::with_capacity(file, 256 << 10).map(|chunk| chunk.map(Frame::<Bytes>::data));
    let body = BodyExt::boxed(StreamBody::new(chunks));
    Ok(client.json(http::Method::POST, "/api/v1/uploads", body).await?)
}

/// A file that is removed when it is no longer needed.
pub(super) struct Scratch {
    pub(super) path: std::path::PathBuf,
}

impl Scratch {
    pub(super) fn new(name: &str) -> anyhow::Result<Scratch> {
        let mut random = [0; 8];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())?;
        let folder = std::env::temp_dir();
        Ok(Scratch { path: folder.join(format!("wharf-{}-{name}", wharf_base::hex(&random))) })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It may never have been made.
        let _ = std::fs::remove_file(&self.path);
    }
}
