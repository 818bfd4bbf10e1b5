//! The old keys for limits (`cpus`, `mem_limit`, …), which say the same as `deploy`.
//!
//! The project has each limit once. A file may say it in both places if it says the same, as in Compose.

use std::fmt::Display;

use crate::diagnostic::{Kind, Problem};
use crate::project::Service;
use crate::read::context::Context;
use crate::read::{deploy, scalar};
use crate::yaml::Node;

pub(super) fn read(cx: &mut Context<'_>, node: &Node, service: &mut Service, what: &str) {
    let mut one = One { cx, node, what };
    let deploy = &mut service.deploy;
    one.read("cpus", "limits.cpus", &mut deploy.limits.cpus, scalar::cpus);
    one.read("mem_limit", "limits.memory", &mut deploy.limits.memory_bytes, scalar::bytes);
    one.read("pids_limit", "limits.pids", &mut deploy.limits.pids, |node| {
        scalar::integer(node, -1, i64::from(u32::MAX))
    });
    let reservations = &mut deploy.reservations;
    one.read("mem_reservation", "reservations.memory", &mut reservations.memory_bytes, scalar::bytes);
    one.read("scale", "replicas", &mut deploy.replicas, |node| scalar::count(node, 0, deploy::REPLICAS_MAX));
    if service.deploy.limits.cpus.is_some() && (service.cpu_quota.is_some() || service.cpu_period.is_some()) {
        let place = node.as_mapping().and_then(|mapping| {
            Some(mapping.entry("cpu_quota").or_else(|| mapping.entry("cpu_period"))?.key_place)
        });
        let problem =
            Problem::new(Kind::Reference, "`cpus` and `cpu_quota` or `cpu_period` exclude each other");
        cx.error(place.unwrap_or(node.place), problem.hint("leave only `cpus`").about(what));
    }
}

struct One<'a, 'c, 'n> {
    cx: &'a mut Context<'c>,
    node: &'n Node,
    what: &'n str,
}

impl One<'_, '_, '_> {
    /// Reads `key` into the slot of `deploy.<other>`, which may hold the same value already.
    fn read<T: PartialEq + Copy + Display>(
        &mut self,
        key: &str,
        other: &str,
        slot: &mut Option<T>,
        read: impl FnOnce(&Node) -> Result<T, Problem>,
    ) {
        let Some(entry) = self.node.as_mapping().and_then(|mapping| mapping.entry(key)) else { return };
        if entry.value.is_null() {
            return;
        }
        let Some(value) = self.cx.scalar(&entry.value, format_args!("`{key}` of {}", self.what), read) else {
            return;
        };
        match *slot {
            Some(earlier) if earlier != value => {
                let path = match other {
                    "replicas" => "deploy.replicas".to_owned(),
                    other => format!("deploy.resources.{other}"),
                };
                let message = format!("`{key}` is {value}, but `{path}` is {earlier}");
                let problem = Problem::new(Kind::Reference, message).hint("leave one of them");
                self.cx.error(entry.key_place, problem.about(self.what));
            }
            _ => *slot = Some(value),
        }
    }
}
