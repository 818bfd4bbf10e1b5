//! Plain records and ports that the subsystems share.
//!
//! Subsystems never depend on each other; what one of them needs of another is a *port* here ([`ports`]), named
//! after the need, and the records that pass through it. The binary connects ports to the parts that fill them.
//!
//! The flow that these types carry: `deploy` turns a release into an [`AppDesired`] → `fleet` numbers it into a
//! [`Generation`], sends each host its part and collects [`HostReport`]s → from both it computes a [`Table`] → the
//! balancers route by that table. Every change of state is an [`Event`], stored first and broadcast then.

pub mod call;
mod container;
mod default;
mod event;
pub mod frame;
mod generation;
mod host;
mod name;
mod platform;
pub mod ports;
mod secret;
mod table;
mod traffic;

pub use call::Call;
pub use container::{
    Blkio, ContainerSpec, Device, DeviceRequest, FileOwner, Healthcheck, Logging, MountOptions, MountSource,
    MountSpec, NetworkAttachment, PublishedPort, PullPolicy, ResourceLimits, RestartPolicy, SharedPlace,
    SharedVolumes, Transport, Ulimit,
};
pub use event::{Event, EventRecord, Topic};
pub use frame::Frame;
pub use generation::{
    AppDesired, Change, FileBundle, Generation, ImageSpec, Instance, Ipam, IpamPool, NetworkSpec, Probe,
    RouteSpec, Serve, VolumeSpec, WaitFor,
};
pub use host::{
    Drift, DriftOutcome, HostReport, HostResources, HostView, ImageReport, ImageState, InstanceReport,
    InstanceState, Liveness, Observed, Orphan, OrphanKind, OrphanOwner, OrphanTarget,
};
pub use name::{Name, NameError};
pub use platform::{EMULATES, Platform};
pub use secret::{SecretFile, SecretRef, SecretVariable};
pub use table::{Balance, HealthCheck, Route, Table, Target, TargetState};
pub use traffic::{BalancerView, PoolsObserved, ReleaseTraffic};
