//! Builds an image from a tar archive, with BuildKit or with the classic builder.
//!
//! Both are `POST /build` with the archive as body. With `version=2` the Engine hands the archive to BuildKit; no
//! session is needed unless the Dockerfile uses secrets, ssh or a private base image's login (docs/decisions/0006).
//! The answer is a stream of JSON messages: text and `aux` from the classic builder ([`classic`]), base64
//! protobuf from BuildKit ([`trace`], [`progress`]).

pub(crate) mod classic;
pub(crate) mod progress;
pub(crate) mod query;
pub(crate) mod trace;

use std::collections::BTreeMap;
use std::path::Path;

use hyper::Method;
use serde::Deserialize;
use wharf_base::Digest;

use crate::error::tidy;
use crate::json_stream::{JsonStream, Message};
use crate::{Engine, Error, Output, raw};

/// Lines of a failed step's output that [`Error::BuildFailed`] keeps.
pub const TAIL_LINES: usize = 20;

/// Which of the Engine's builders is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Builder {
    /// BuildKit where the Engine has it.
    #[default]
    Auto,
    /// BuildKit.
    Buildkit,
    /// The builder of before.
    Classic,
}

/// What to build.
#[derive(Clone, Debug)]
pub struct Build<'a> {
    /// Name and tag of the result.
    pub tag: &'a str,
    /// Tar archive of the context.
    pub context: &'a Path,
    /// Path of the Dockerfile in it.
    pub dockerfile: &'a str,
    /// Stage to build.
    pub target: Option<&'a str>,
    /// Build arguments.
    pub args: &'a BTreeMap<String, String>,
    /// Labels of the image.
    pub labels: &'a BTreeMap<String, String>,
    /// Build every step anew.
    pub no_cache: bool,
    /// What few builds set.
    pub settings: Settings,
}

/// Settings of a build that few set. What is not set is the Engine's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Ask registries for newer base images.
    pub pull: bool,
    /// Images whose layers may be used.
    pub cache_from: Vec<String>,
    /// Lines of `/etc/hosts` for RUN, `name:address`.
    pub extra_hosts: Vec<String>,
    /// Network for RUN: `default`, `none` or `host`.
    pub network: Option<String>,
    /// Platform of the image: `linux/arm64`.
    pub platform: Option<String>,
    /// Bytes of `/dev/shm` for RUN.
    pub shm_size_bytes: Option<u64>,
    /// Limits of processes of RUN by name: (soft, hard).
    pub ulimits: BTreeMap<String, (i64, i64)>,
    /// Further names for the image on this Engine.
    pub tags: Vec<String>,
}

impl Settings {
    /// BuildKit has these since Engine 23 (API 1.42) and leaves them out without a word before.
    fn needs_classic(&self, api_minor: u32) -> bool {
        api_minor < 42 && (self.shm_size_bytes.is_some() || !self.ulimits.is_empty())
    }
}

/// Builds and returns the id of the image. Lines of progress go to `output`.
///
/// There is no time limit; dropping the future ends the build. Errors: `BuildFailed` names the instruction and
/// has the last lines that it printed; `File` when the archive can't be read.
pub async fn run(
    engine: &Engine,
    builder: Builder,
    build: &Build<'_>,
    output: &mut Output,
) -> Result<Digest, Error> {
    let is_buildkit = match builder {
        Builder::Auto => engine.has_buildkit() && !build.settings.needs_classic(engine.api_minor()),
        Builder::Buildkit => true,
        Builder::Classic => false,
    };
    if is_buildkit { buildkit(engine, build, output).await } else { classic(engine, build, output).await }
}

/// Builds with BuildKit. See [`run`].
pub async fn buildkit(engine: &Engine, build: &Build<'_>, output: &mut Output) -> Result<Digest, Error> {
    let mut stream = start(engine, build, true).await?;
    let mut progress = progress::Progress::default();
    let mut image = None;
    while let Some(message) = stream.next().await? {
        if let Some(failure) = message.failure() {
            let (step, tail) = progress.failed_step();
            return Err(Error::BuildFailed { step, message: tidy(failure), tail });
        }
        match message.id.as_deref() {
            Some("moby.buildkit.trace") => {
                let status = trace::decode(message.aux.as_ref())
                    .map_err(|error| Error::broken("read BuildKit's progress", error))?;
                for line in progress.update(status) {
                    output.line(&line).await;
                }
            }
            _ => image = image_id(&message).or(image),
        }
    }
    image.ok_or_else(|| Error::broken(doing(build), "the stream ended without an image"))
}

/// Builds with the classic builder. See [`run`].
pub async fn classic(engine: &Engine, build: &Build<'_>, output: &mut Output) -> Result<Digest, Error> {
    let mut stream = start(engine, build, false).await?;
    let mut transcript = classic::Transcript::default();
    let mut image = None;
    while let Some(message) = stream.next().await? {
        if let Some(failure) = message.failure() {
            let (step, tail) = transcript.failed_step();
            return Err(Error::BuildFailed { step, message: tidy(failure), tail });
        }
        for line in transcript.update(&message) {
            output.line(&line).await;
        }
        image = image_id(&message).or(image);
    }
    image.ok_or_else(|| Error::broken(doing(build), "the stream ended without an image"))
}

fn doing(build: &Build<'_>) -> String {
    format!("build {}", build.tag)
}

async fn start(engine: &Engine, build: &Build<'_>, is_buildkit: bool) -> Result<JsonStream, Error> {
    let doing = doing(build);
    let body = raw::file_body(build.context).await?;
    let headers = [("content-type", "application/x-tar".to_owned())];
    let path = query::build_path(build, is_buildkit);
    let mut call = engine.send(&doing, Method::POST, &path, &headers, body).await?;
    match call.refuse_failure(&doing).await {
        // 400 is the Dockerfile's fault, such as an unknown instruction; the classic parser answers before the stream.
        Err(Error::Refused { status: 400, message, .. }) => {
            Err(Error::BuildFailed { step: None, message, tail: Vec::new() })
        }
        Err(error) => Err(error),
        Ok(()) => Ok(JsonStream::new(call, &doing, None)),
    }
}

/// Both builders tell the image's id as `aux: {"ID": "sha256:…"}`; the classic one after each step as well.
fn image_id(message: &Message) -> Option<Digest> {
    #[derive(Deserialize)]
    struct Aux {
        #[serde(rename = "ID")]
        id: Digest,
    }
    Aux::deserialize(message.aux.as_ref()?).ok().map(|aux| aux.id)
}
