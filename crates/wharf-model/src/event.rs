//! Everything that changes state, as one closed list: the console's activity feed and the audit log are this.

mod about;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wharf_base::UnixMillis;

use crate::Name;

pub use about::Topic;

/// An event with its place in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventRecord {
    /// Position in the log, from 1, without gaps.
    pub id: u64,
    /// When.
    pub at: UnixMillis,
    /// What.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "fields say what their variant's sentence says")]
pub enum Event {
    /// The server started.
    ServerStarted { version: String },
    /// A token was made with which hosts can join; `host`: only the one of this name.
    JoinTokenMade { uses: u32, host: Option<Name>, by: String },
    /// A host joined with a token.
    HostJoined { host: Name },
    /// A host's agent connected.
    HostUp { host: Name },
    /// A host's connection was lost.
    HostLost { host: Name },
    /// An operator drains a host, or ends that.
    HostDrain { host: Name, draining: bool, by: String },
    /// A host was removed.
    HostRemoved { host: Name, by: String },
    /// A generation was made.
    GenerationMade { generation: u64, author: String, reason: String },
    /// A deploy, rollback or scale began.
    DeployStarted { deploy: u64, app: Name, release: u32, what: String, by: String },
    /// One step of it, for people.
    DeployStep {
        deploy: u64,
        app: Name,
        release: u32,
        step: String,
        detail: String,
        ended: bool,
        millis: u64,
    },
    /// A line of output of a build.
    DeployOutput { deploy: u64, line: String },
    /// Requests now go to `release`.
    Switched { app: Name, release: u32, previous: Option<u32> },
    /// It ended well.
    DeploySucceeded { deploy: u64, app: Name, release: u32, millis: u64 },
    /// It ended badly; what served before serves on.
    DeployFailed { deploy: u64, app: Name, release: u32, reason: String, log_tail: Vec<String> },
    /// Somebody ended it before its switch.
    DeployAborted { deploy: u64, app: Name, release: u32, by: String },
    /// An instance changed its state. Records of earlier versions don't say of which application it is.
    InstanceChanged {
        host: Name,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        app: Option<Name>,
        instance: String,
        state: String,
        detail: String,
    },
    /// Somebody changed a container by hand, and what was done about that: `repaired`, `reported`, `resolved`.
    Drifted { host: Name, app: Name, instance: String, what: String, outcome: String },
    /// Something that no generation names was removed on request.
    OrphanRemoved { host: Name, what: String, name: String, by: String },
    /// Somebody ran a command in a container. Its output is nobody else's.
    Executed { app: Name, service: Name, instance: String, host: Name, command: String, by: String },
    /// A one-off container of a service was started.
    RunStarted {
        app: Name,
        service: Name,
        release: u32,
        run: String,
        host: Name,
        command: String,
        by: String,
    },
    /// It ended, or was ended.
    RunEnded { app: Name, service: Name, run: String, host: Name, detail: String },
    /// Somebody logged in.
    LoggedIn { who: String },
    /// An API token was made.
    TokenMade { name: String, role: String, by: String },
    /// An API token was removed, and its sessions with it.
    TokenRemoved { name: String, by: String },
    /// A part fills or fails: a bound is full, a disk refuses writes.
    Warning { part: String, message: String },
}
