//! The JSON of this part of `/api/v1`, for the server and for its clients.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_base::{Digest, UnixMillis};
use wharf_compose::Places;
use wharf_compose::project::Project;
use wharf_model::Name;

pub use crate::plan::{Action, FieldChange, Item, ItemChange, ItemKind, Place, ServicePlan};
pub use crate::translate::{UploadedFile, config_upload};
pub use crate::world::World;

/// `GET /apps`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AppList {
    /// Applications by name.
    pub apps: Vec<AppView>,
}

/// One application; `GET /apps/{app}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AppView {
    /// Name.
    pub name: Name,
    /// Release that serves; `None` before the first has succeeded.
    pub release: Option<u32>,
    /// Release that a rollback without a number goes to.
    pub previous_release: Option<u32>,
    /// Services in order of their names.
    pub services: Vec<ServiceView>,
    /// Routes.
    pub routes: Vec<RouteView>,
    /// The deploy that runs now.
    pub deploying: Option<u64>,
}

/// One service of an application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceView {
    /// Name.
    pub name: Name,
    /// Image of its newest instances, by digest where it is ours.
    pub image: String,
    /// Instances that there are to be.
    pub replicas_desired: u32,
    /// Instances that are healthy.
    pub replicas_healthy: u32,
    /// Requests from outside reach it.
    pub routed: bool,
    /// Release whose image and settings it has.
    pub release: u32,
}

/// One route of an application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteView {
    /// Host name; `None` matches every name.
    pub host: Option<String>,
    /// Path prefix.
    pub path: String,
    /// Service that answers.
    pub service: Name,
}

/// `GET /apps/{app}/releases`, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseList {
    /// Releases that are kept.
    pub releases: Vec<ReleaseView>,
}

/// One release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseView {
    /// Number, from 1.
    pub number: u32,
    /// When it was made.
    pub created: UnixMillis,
    /// Who deployed it.
    pub author: String,
    /// What they said about it.
    pub message: String,
    /// Image of each service.
    pub images: BTreeMap<String, String>,
    /// It serves now.
    pub is_active: bool,
    /// Requests have gone to it; only then a rollback to it is possible.
    #[serde(default = "yes")]
    pub has_served: bool,
    /// `wharf rollback` can lead to it: it has served, does not now, and its images are kept.
    #[serde(default = "yes")]
    pub can_roll_back: bool,
}

/// Servers that don't say yet.
fn yes() -> bool {
    true
}

/// `GET /apps/{app}/releases/{a}/diff/{b}`: what leads from one release to the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseDiff {
    /// Application.
    pub app: Name,
    /// Release that is compared.
    pub from: ReleaseRef,
    /// Release that it is compared with.
    pub to: ReleaseRef,
    /// Services first, by name and key; then networks, volumes and files. Empty: both lead to the same containers.
    pub changes: Vec<Change>,
}

/// A release as a diff names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseRef {
    /// Number.
    pub number: u32,
    /// When it was made.
    pub created: UnixMillis,
    /// Who deployed it.
    pub author: String,
    /// What they said about it.
    pub message: String,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Service that it concerns; `None`: the application as a whole.
    pub service: Option<String>,
    /// Key of the service that it is under (`image`, `environment`, `x-wharf`), `service` for a whole one; else `networks`,
    /// `volumes` or `files`.
    pub part: String,
    /// Where it is: `services.web.deploy.replicas`; of a file its path.
    pub path: String,
    /// What happened to it.
    pub kind: ChangeKind,
    /// Value in the first release; `None` when there was none or it is hidden.
    pub before: Option<String>,
    /// Value in the second release; `None` when there is none or it is hidden.
    pub after: Option<String>,
    /// The values may be secrets and are not told.
    pub is_hidden: bool,
}

/// How something differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It is only in the second release.
    Added,
    /// It is in both, and not the same.
    Changed,
    /// It is only in the first release.
    Removed,
}

/// Answer of `POST /uploads`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Uploaded {
    /// SHA-256 of the body.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// Body of `POST /apps/{app}/plan` and `POST /apps/{app}/deploys`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployRequest {
    /// The resolved project, as this version's loader of Compose files makes it (`wharf plan --save` has one in it).
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub project: Project,
    /// Build context of each service that is built.
    #[serde(default)]
    pub contexts: BTreeMap<String, BuildContext>,
    /// Archive of each relative bind mount, by its source as in the project.
    #[serde(default)]
    pub files: BTreeMap<String, UploadedFile>,
    /// Where the keys of the project stand in the files, for messages; nothing else depends on it.
    #[serde(default, skip_serializing_if = "Places::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub places: Places,
    /// Secrets that it uses, encrypted.
    #[serde(default, skip_serializing_if = "SealedSecrets::is_empty")]
    pub secrets: SealedSecrets,
    /// A word about it, such as a commit's title.
    #[serde(default)]
    pub message: String,
    /// Only exactly this plan is carried out; when it can't be any more, the deploy is refused and changes nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<Box<PlanView>>,
}

/// A plan in a file: `wharf plan --save`, `wharf apply`.
///
/// Images that are yet to be built are in it as the digest of their build context: that context is built when the plan
/// is carried out, and nothing else.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedPlan {
    /// Version of this form: [`SavedPlan::VERSION`].
    pub version: u32,
    /// Application.
    pub app: Name,
    /// What a deploy would send, and the plan that the server made of it.
    pub request: DeployRequest,
}

impl SavedPlan {
    /// The form that this program writes and reads.
    pub const VERSION: u32 = 1;

    /// Reads a file's text.
    ///
    /// Errors: it is no plan, or one of another version, in words with a hint.
    pub fn read(text: &[u8]) -> Result<SavedPlan, String> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let hint = "hint: `wharf plan --save FILE` writes one";
        let Version { version } = serde_json::from_slice(text)
            .map_err(|error| format!("this is no saved plan: {error}\n  {hint}"))?;
        if version != SavedPlan::VERSION {
            let known = SavedPlan::VERSION;
            return Err(format!("the plan has version {version}, this wharf knows {known}\n  {hint}"));
        }
        let plan: SavedPlan = serde_json::from_slice(text)
            .map_err(|error| format!("the plan can't be read: {error}\n  {hint}"))?;
        if plan.request.plan.is_none() {
            return Err(format!("the plan holds no plan\n  {hint}"));
        }
        Ok(plan)
    }
}

/// Secrets that come with a deploy, none of them in clear.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SealedSecrets {
    /// The application's age file; this server must be one of its recipients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<SealedFile>,
    /// Values of Compose's `file:` and `environment:` secrets by their key, each an armoured age file for this server.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub given: BTreeMap<String, String>,
}

impl SealedSecrets {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.file.is_none() && self.given.is_empty()
    }
}

/// An age file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SealedFile {
    /// What errors call it: `secrets.age`.
    pub name: String,
    /// Its armoured text.
    pub text: String,
}

/// Answer of `GET /secrets/recipient`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SecretsRecipient {
    /// The server's public key, `age1…`.
    pub recipient: String,
}

/// An uploaded build context.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildContext {
    /// The archive, as `POST /uploads` returned it.
    pub digest: Digest,
    /// Path of the Dockerfile in the archive.
    pub dockerfile: String,
}

/// Answer of `POST /apps/{app}/plan`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanView {
    /// Application.
    pub app: Name,
    /// Release that a deploy would make.
    pub release: u32,
    /// Release that is active now.
    pub previous: Option<u32>,
    /// Nothing would change.
    pub is_up_to_date: bool,
    /// Services that are built first; whether they change is known only then.
    pub builds: Vec<String>,
    /// Per service.
    pub services: Vec<ServicePlan>,
    /// What people should know.
    pub warnings: Vec<String>,
    /// All of it in words.
    pub lines: Vec<String>,
    /// What changes, one by one.
    #[serde(default)]
    pub items: Vec<Item>,
    /// What the plan saw.
    #[serde(default)]
    pub world: World,
}

/// Answer to everything that starts a deploy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Started {
    /// Its id: see `GET /deploys/{id}` and `/deploys/{id}/stream`.
    pub deploy: u64,
    /// Release that it leads to.
    pub release: u32,
}

/// Body of `POST /apps/{app}/rollback`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// Release to go back to; `None` is the one before.
    #[serde(default)]
    pub release: Option<u32>,
}

/// Body of `POST /apps/{app}/scale`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScaleRequest {
    /// Number of instances by service.
    pub services: BTreeMap<String, u32>,
}

/// Body of `POST /apps/{app}/restart`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RestartRequest {
    /// Services to restart; empty: all of them.
    #[serde(default)]
    pub services: Vec<String>,
}

/// First message on the WebSocket `GET /apps/{app}/services/{service}/exec`, and of `…/run`.
///
/// What follows are frames ([`wharf_model::frame`]), both ways.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CommandRequest {
    /// Program and arguments. `run` without any runs the service's own.
    pub command: Vec<String>,
    /// `exec`: [`wharf_model::Instance::id`] of the container; else a healthy one of the newest release.
    pub instance: Option<String>,
    /// Size of the terminal that it gets; `None`: it gets none.
    pub terminal: Option<wharf_model::frame::Size>,
    /// Standard input comes along; else it is empty.
    pub stdin: bool,
    /// User; else the container's.
    pub user: Option<String>,
    /// Working directory; else the container's.
    pub working_dir: Option<String>,
    /// Added to the container's environment.
    pub environment: BTreeMap<String, String>,
}

/// Data of the event `line` of `GET /apps/{app}/services/{service}/logs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLineView {
    /// Host.
    pub host: Name,
    /// Instance.
    pub instance: String,
    /// Nanoseconds since 1970 by the clock of the host, as text, because JavaScript's numbers are too coarse; `0` when
    /// the Engine did not say.
    pub at: String,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// Printable text, at most 8 KiB.
    pub text: String,
}

/// Data of the event `note` of the same: a host that can't be asked now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogNote {
    /// Host.
    pub host: Name,
    /// Why, in words.
    pub message: String,
}

/// `GET /deploys`, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeployList {
    /// Deploys.
    pub deploys: Vec<DeployView>,
}

/// One deploy, rollback, scale, removal or move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeployView {
    /// Id, from 1.
    pub id: u64,
    /// Application.
    pub app: Name,
    /// Release that it leads to.
    pub release: u32,
    /// What it does.
    pub what: What,
    /// Who asked for it.
    pub by: String,
    /// How it stands.
    pub state: DeployState,
    /// Steps, in order.
    pub steps: Vec<StepView>,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// Last log lines of the container that failed.
    pub log_tail: Vec<String>,
    /// When it began.
    pub started: UnixMillis,
    /// When it ended.
    pub ended: Option<UnixMillis>,
}

/// What a deploy does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Makes a release.
    Deploy,
    /// Moves instances away from a draining host.
    Move,
    /// Removes the application.
    Remove,
    /// Replaces containers by equal ones, one after the other.
    Restart,
    /// Goes back to a release.
    Rollback,
    /// Changes numbers of instances.
    Scale,
}

impl What {
    /// The word in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            What::Deploy => "deploy",
            What::Move => "move",
            What::Remove => "remove",
            What::Restart => "restart",
            What::Rollback => "rollback",
            What::Scale => "scale",
        }
    }
}

/// How a deploy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeployState {
    /// Somebody ended it; what served before serves on.
    Aborted,
    /// It failed; what served before serves on.
    Failed,
    /// It runs.
    Running,
    /// It ended well.
    Succeeded,
}

impl DeployState {
    /// The word in JSON and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            DeployState::Aborted => "aborted",
            DeployState::Failed => "failed",
            DeployState::Running => "running",
            DeployState::Succeeded => "succeeded",
        }
    }
}

/// One step of a deploy; data of the stream's event `step`. A step is told again when its detail changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepView {
    /// `build`, `plan`, `pull`, `before_switch`, `clear`, `start`, `healthy`, `switch`, `drain`, `stop`, or `undo`; `restart` begins each
    /// round of a restart.
    pub step: String,
    /// In words.
    pub detail: String,
    /// It has ended.
    pub ended: bool,
    /// It has ended badly: the deploy failed, or was ended, in it.
    #[serde(default)]
    pub failed: bool,
    /// How long it has taken.
    pub millis: u64,
}

/// A line of build output; data of the stream's event `output`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OutputView {
    /// The line.
    pub line: String,
}

/// How it ended; data of the stream's last event, `end`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EndView {
    /// How.
    pub state: DeployState,
    /// Release that is active now because of it, or that it was to lead to.
    pub release: u32,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// Last log lines of the container that failed.
    pub log_tail: Vec<String>,
    /// How long it has taken.
    pub millis: u64,
}

/// One event of a deploy's stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamItem {
    /// Event `step`.
    Step(StepView),
    /// Event `output`.
    Output(OutputView),
    /// Event `end`; nothing follows.
    End(EndView),
}
