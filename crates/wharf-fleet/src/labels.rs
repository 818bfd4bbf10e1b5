//! Labels that mark a container, a network or a volume as ours, and say which part of the desired state it is.

/// Random id of the agent's data directory: an agent touches only what carries its own.
///
/// Engine ids repeat where a machine was cloned and a test may run beside a production agent on one Engine, so neither
/// the Engine's id nor `wharf.app` says whose a container is.
pub(crate) const OWNER: &str = "wharf.owner";
/// Application.
pub(crate) const APP: &str = "wharf.app";
/// Service.
pub(crate) const SERVICE: &str = "wharf.service";
/// Release.
pub(crate) const RELEASE: &str = "wharf.release";
/// Slot.
pub(crate) const SLOT: &str = "wharf.slot";
/// `<format>:<blake3>` of the specification; see [`crate::spec_hash`].
pub(crate) const SPEC: &str = "wharf.spec";
/// [`wharf_model::Instance::id`].
pub(crate) const INSTANCE: &str = "wharf.instance";
/// Id of a one-off container. It has none of slot, spec and instance, so no comparison with the desired state sees it.
pub(crate) const RUN: &str = "wharf.run";
/// Host that runs it.
pub(crate) const HOST: &str = "wharf.host";
/// Services that it depends on, comma-separated: when both leave, it is stopped before them, as Compose does.
pub(crate) const AFTER: &str = "wharf.after";
/// Services whose container it uses, and the id of that container: `db=<id>,cache=<id>`. With another one there it has to
/// be made again.
pub(crate) const SHARES: &str = "wharf.shares";
