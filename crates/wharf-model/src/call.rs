//! What a host's agent is asked to do, most often with one container, now: the opposite of desired state.
//!
//! A call is a stream both ways ([`crate::frame`]); it ends when its work does, or when either side goes away.

use serde::{Deserialize, Serialize};

use crate::frame::Size;
use crate::{AppDesired, Instance, Name};

/// A call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Call {
    /// Runs a command in a container that is there.
    Exec(Exec),
    /// Sends the log lines of a service's containers, each as [`LogLine`] in a frame of its own.
    Logs(Logs),
    /// Runs a container for one command and removes it.
    Run(Box<Run>),
    /// Removes images from the host's Engine.
    RemoveImages(RemoveImages),
}

impl Call {
    /// The word for messages.
    pub fn word(&self) -> &'static str {
        match self {
            Call::Exec(_) => "exec",
            Call::Logs(_) => "logs",
            Call::Run(_) => "run",
            Call::RemoveImages(_) => "remove images",
        }
    }
}

/// A command in a container that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// The Engine's id of the container. It must be one of the agent's own.
    pub container: String,
    /// [`crate::Instance::id`] of the container.
    pub instance: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// `KEY=VALUE`, added to the container's environment.
    pub environment: Vec<String>,
    /// User; `None` is the container's.
    pub user: Option<String>,
    /// Working directory; `None` is the container's.
    pub working_dir: Option<String>,
    /// Size of the terminal that it gets; `None`: it gets none.
    pub terminal: Option<Size>,
    /// Standard input comes along; else it is empty.
    pub stdin: bool,
}

/// Log lines of one service's containers on a host, oldest first. [`crate::frame::Status::Started`] comes between the past
/// and what is printed from then on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logs {
    /// Application.
    pub app: Name,
    /// Service.
    pub service: Name,
    /// Most lines of each container from the past.
    pub lines: u32,
    /// Only lines after this time, in nanoseconds since 1970.
    pub since: Option<i64>,
    /// Go on with what is printed from now on, by containers that come later too.
    pub follow: bool,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Nanoseconds since 1970, by the clock of the host; 0 when the Engine did not say.
    pub at: i64,
    /// [`crate::Instance::id`] of the container.
    pub instance: String,
    /// It came from standard error.
    #[serde(default)]
    pub stderr: bool,
    /// Printable text, at most 8 KiB.
    pub text: String,
}

/// Images that no kept release needs. One that a container uses or the desired state names stays. The call's exit status is
/// how many stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveImages {
    /// References that only Wharf's own builds have: they go whoever brought them to the host.
    pub built: Vec<String>,
    /// Other references: they go if this agent has pulled them.
    pub pulled: Vec<String>,
}

/// A container for one command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its name: `<app>-<service>-run-<hex>`.
    pub id: String,
    /// Application.
    pub app: Name,
    /// The service's container with the command in it. What can't be there twice (ports, `container_name`, the
    /// service's names on networks) has been taken out.
    pub instance: Instance,
    /// Networks, volumes and files that it needs.
    pub desired: AppDesired,
    /// Size of the terminal that it gets; `None`: it gets none.
    pub terminal: Option<Size>,
    /// Standard input comes along; else it is empty.
    pub stdin: bool,
}
