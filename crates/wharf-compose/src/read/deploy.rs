//! `deploy`: replicas, resources, labels, and Swarm's words for what Wharf says in `x-wharf`.

use crate::diagnostic::Problem;
use crate::project::{Deploy, DeviceRequest, HostSelector, Resources, Restart, Strategy};
use crate::read::context::Context;
use crate::read::{container, pairs, scalar};
use crate::schema_keys::{self as keys, Keys};
use crate::yaml::Node;

/// LIMIT: containers of one service. 1,000 hosts with ten each.
pub(super) const REPLICAS_MAX: u32 = 10_000;

/// `deploy`, and what it says about other parts of a service.
#[derive(Default)]
pub(super) struct Read {
    pub(super) deploy: Deploy,
    pub(super) device_requests: Vec<DeviceRequest>,
    /// From `restart_policy`; counts where the service has no `restart`.
    pub(super) restart: Option<Restart>,
    /// From `placement`; counts where there is no `x-wharf.hosts`.
    pub(super) hosts: Option<HostSelector>,
    /// From `update_config.order`; counts where there is no `x-wharf.rollout`.
    pub(super) strategy: Option<Strategy>,
}

pub(super) fn read(cx: &mut Context<'_>, node: &Node, service: &str) -> Read {
    let mut read = Read::default();
    for field in cx.fields(node, &keys::DEPLOY, &format!("`deploy` of {service}")) {
        let (value, what) = (&field.value, format!("`deploy.{}` of {service}", field.key));
        match field.key.as_str() {
            "labels" => read.deploy.labels = pairs::labels(cx, value, &what),
            "mode" => {
                cx.scalar(value, what, mode);
            }
            "placement" => read.hosts = placement(cx, value, &what),
            "replicas" => {
                read.deploy.replicas = cx.scalar(value, what, |node| scalar::count(node, 0, REPLICAS_MAX));
            }
            "restart_policy" => read.restart = restart_policy(cx, value, &what),
            "update_config" => read.strategy = update_config(cx, value, &what),
            _ => {
                for field in cx.fields(value, &keys::RESOURCES, &what) {
                    match field.key.as_str() {
                        "limits" => {
                            read.deploy.limits =
                                resources(cx, &field.value, &keys::LIMITS, &what, &mut read.device_requests);
                        }
                        _ => {
                            read.deploy.reservations = resources(
                                cx,
                                &field.value,
                                &keys::RESERVATIONS,
                                &what,
                                &mut read.device_requests,
                            );
                        }
                    }
                }
            }
        }
    }
    read
}

fn mode(node: &Node) -> Result<(), Problem> {
    let words = [("replicated", true), ("global", false), ("replicated-job", false), ("global-job", false)];
    if scalar::word(node, &words)? {
        return Ok(());
    }
    let problem = Problem::unsupported(format!("{} is Swarm's", node.describe()));
    Err(problem.hint(
        "set `replicas` to the number of hosts; a job is a service that others wait for with `service_completed_successfully`",
    ))
}

/// One constraint on the name or a label of a node says what `x-wharf.hosts` says.
fn placement(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<HostSelector> {
    let mut selector = None;
    for field in cx.fields(node, &keys::PLACEMENT, what) {
        for item in cx.items(&field.value, what) {
            let Some(text) = cx.string(item, what) else { continue };
            let constraint = text.split_once("==").map(|(left, right)| (left.trim(), right.trim()));
            let is_word = |text: &str| {
                !text.is_empty()
                    && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte))
            };
            let new = match constraint {
                Some(("node.hostname", name)) if is_word(name) => Some(HostSelector::Host(name.to_owned())),
                Some((left, value)) if is_word(value) => left
                    .strip_prefix("node.labels.")
                    .filter(|key| is_word(key))
                    .map(|key| HostSelector::Label(key.to_owned(), value.to_owned())),
                Some(_) | None => None,
            };
            match new {
                Some(new) if selector.as_ref().is_none_or(|known| *known == new) => selector = Some(new),
                Some(_) | None => {
                    let shown = crate::yaml_text(&text);
                    let problem = Problem::unsupported(format!("the constraint `{shown}` can't be kept"));
                    let hint = "give hosts a label and use `x-wharf.hosts: label(key=value)`; one constraint on \
                                node.hostname or node.labels.KEY is understood";
                    cx.error(item.place, problem.hint(hint).about(what));
                }
            }
        }
    }
    selector
}

fn restart_policy(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<Restart> {
    let mut restart = Some(Restart::Always);
    let mut attempts = None;
    for field in cx.fields(node, &keys::RESTART_POLICY, what) {
        let (value, what) = (&field.value, format!("`{}` in {what}", field.key));
        match field.key.as_str() {
            "condition" => {
                let words = [
                    ("any", Restart::Always),
                    ("none", Restart::No),
                    ("on-failure", Restart::OnFailure(None)),
                ];
                restart = cx.scalar(value, what, |node| scalar::word(node, &words));
            }
            _ => attempts = cx.scalar(value, what, |node| scalar::count(node, 0, 1_000_000)),
        }
    }
    match restart {
        Some(Restart::OnFailure(_)) => Some(Restart::OnFailure(attempts.filter(|count| *count > 0))),
        restart => restart,
    }
}

fn update_config(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<Strategy> {
    let mut strategy = None;
    for field in cx.fields(node, &keys::UPDATE_CONFIG, what) {
        let (value, what) = (&field.value, format!("`{}` in {what}", field.key));
        match field.key.as_str() {
            "order" => {
                let words = [("start-first", Strategy::BlueGreen), ("stop-first", Strategy::Recreate)];
                strategy = cx.scalar(value, what, |node| scalar::word(node, &words));
            }
            _ => {
                let words = [("rollback", true), ("pause", false), ("continue", false)];
                if cx.scalar(value, &what, |node| scalar::word(node, &words)) == Some(false) {
                    let problem =
                        Problem::unsupported(format!("{} is not what Wharf does", value.describe()));
                    let hint = "a release that fails before the switch never serves: write `rollback`";
                    cx.error(value.place, problem.hint(hint).about(what));
                }
            }
        }
    }
    strategy
}

fn resources(
    cx: &mut Context<'_>,
    node: &Node,
    keys: &Keys,
    what: &str,
    device_requests: &mut Vec<DeviceRequest>,
) -> Resources {
    let mut resources = Resources::default();
    for field in cx.fields(node, keys, what) {
        let (value, what) = (&field.value, format!("`{}` in {what}", field.key));
        match field.key.as_str() {
            "cpus" => resources.cpus = cx.scalar(value, what, scalar::cpus),
            "memory" => resources.memory_bytes = cx.scalar(value, what, scalar::bytes),
            "devices" => *device_requests = container::device_requests(cx, value, &what, false),
            // -1 is no limit, as in Docker.
            _ => {
                resources.pids = cx.scalar(value, what, |node| scalar::integer(node, -1, i64::from(u32::MAX)))
            }
        }
    }
    resources
}
