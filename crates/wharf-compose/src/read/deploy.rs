//! `deploy`: replicas, resources, labels.

use crate::project::{Deploy, Resources};
use crate::read::context::Context;
use crate::read::{pairs, scalar};
use crate::schema_keys::{self as keys, Keys};
use crate::yaml::Node;

/// LIMIT: containers of one service. 1,000 hosts with ten each.
const REPLICAS_MAX: u32 = 10_000;

pub(super) fn read(cx: &mut Context<'_>, node: &Node, service: &str) -> Deploy {
    let mut deploy = Deploy::default();
    for field in cx.fields(node, &keys::DEPLOY, &format!("`deploy` of {service}")) {
        let (value, what) = (&field.value, format!("`deploy.{}` of {service}", field.key));
        match field.key.as_str() {
            "replicas" => {
                deploy.replicas = cx.scalar(value, what, |node| scalar::count(node, 0, REPLICAS_MAX));
            }
            "labels" => deploy.labels = pairs::labels(cx, value, &what),
            _ => {
                for field in cx.fields(value, &keys::RESOURCES, &what) {
                    match field.key.as_str() {
                        "limits" => deploy.limits = resources(cx, &field.value, &keys::LIMITS, &what),
                        _ => {
                            deploy.reservations = resources(cx, &field.value, &keys::RESERVATIONS, &what);
                        }
                    }
                }
            }
        }
    }
    deploy
}

fn resources(cx: &mut Context<'_>, node: &Node, keys: &Keys, what: &str) -> Resources {
    let mut resources = Resources::default();
    for field in cx.fields(node, keys, what) {
        let (value, what) = (&field.value, format!("`{}` in {what}", field.key));
        match field.key.as_str() {
            "cpus" => resources.cpus = cx.scalar(value, what, scalar::cpus),
            "memory" => resources.memory_bytes = cx.scalar(value, what, scalar::bytes),
            // -1 is no limit, as in Docker.
            _ => {
                resources.pids = cx.scalar(value, what, |node| scalar::integer(node, -1, i64::from(u32::MAX)))
            }
        }
    }
    resources
}
