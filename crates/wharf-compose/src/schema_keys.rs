//! Every key of the Compose schema, and which of them Wharf carries out.
//!
//! Source: `schema/compose-spec.json` of compose-spec/compose-go. A key that is in none of the lists here is
//! unknown to Compose; one in `unsupported` is refused by name, so that nothing is silently left out. Supporting a
//! key means to move it to `supported` and to read it in the file of `read/` that uses the list.

/// The keys that one element takes.
pub(crate) struct Keys {
    /// Carried out.
    pub(crate) supported: &'static [&'static str],
    /// Accepted without effect; the text says why, for the warning.
    pub(crate) no_effect: &'static [(&'static str, &'static str)],
    /// Refused; the text says what to do instead, if there is something.
    pub(crate) unsupported: &'static [(&'static str, &'static str)],
    /// Whether other keys are errors instead of warnings, and `x-` keys are not free: our own elements.
    pub(crate) closed: bool,
}

impl Keys {
    /// All keys that Compose (or Wharf) knows, for suggestions.
    pub(crate) fn all(&self) -> impl Iterator<Item = &'static str> {
        let pairs = self.no_effect.iter().chain(self.unsupported).map(|(key, _)| *key);
        self.supported.iter().copied().chain(pairs)
    }
}

const NONE: &[(&str, &str)] = &[];

/// Our own element with these keys.
const fn ours(supported: &'static [&'static str]) -> Keys {
    Keys { supported, no_effect: NONE, unsupported: NONE, closed: true }
}

/// An element of Compose all of whose keys are carried out.
const fn complete(supported: &'static [&'static str]) -> Keys {
    Keys { supported, no_effect: NONE, unsupported: NONE, closed: false }
}

/// The file.
pub(crate) const TOP: Keys = Keys {
    supported: &["name", "services", "networks", "volumes"],
    no_effect: &[("version", "Compose ignores it since 2020, remove it")],
    unsupported: &[
        ("configs", "bind-mount the file read-only, or build it into the image"),
        ("include", "give the files one after another instead"),
        ("models", ""),
        ("secrets", "pass values in `environment`, with `${NAME:?}` from the environment of the deploy"),
    ],
    closed: false,
};

/// `services.*`
pub(crate) const SERVICE: Keys = Keys {
    supported: &[
        "build",
        "command",
        "container_name",
        "depends_on",
        "deploy",
        "entrypoint",
        "env_file",
        "environment",
        "expose",
        "healthcheck",
        "hostname",
        "image",
        "init",
        "labels",
        "networks",
        "ports",
        "restart",
        "stop_grace_period",
        "stop_signal",
        "user",
        "volumes",
        "working_dir",
        "x-wharf",
    ],
    no_effect: NONE,
    unsupported: &[
        ("annotations", ""),
        ("attach", ""),
        ("blkio_config", ""),
        ("cap_add", ""),
        ("cap_drop", ""),
        ("cgroup", ""),
        ("cgroup_parent", ""),
        ("configs", "bind-mount the file read-only, or build it into the image"),
        ("cpu_count", ""),
        ("cpu_percent", ""),
        ("cpu_period", "use `deploy.resources.limits.cpus`"),
        ("cpu_quota", "use `deploy.resources.limits.cpus`"),
        ("cpu_rt_period", ""),
        ("cpu_rt_runtime", ""),
        ("cpu_shares", ""),
        ("cpus", "use `deploy.resources.limits.cpus`"),
        ("cpuset", ""),
        ("credential_spec", ""),
        ("develop", "keep it in a compose.override.yaml that is not deployed"),
        ("device_cgroup_rules", ""),
        ("devices", ""),
        ("dns", ""),
        ("dns_opt", ""),
        ("dns_search", ""),
        ("domainname", ""),
        ("extends", "use a YAML anchor and `<<`"),
        ("external_links", "put both on a network that is `external`"),
        ("extra_hosts", ""),
        ("gpus", ""),
        ("group_add", ""),
        ("ipc", ""),
        ("isolation", ""),
        ("label_file", "use `labels`"),
        ("links", "services on one network reach each other by name; use `depends_on` for the order"),
        ("logging", ""),
        ("mac_address", ""),
        ("mem_limit", "use `deploy.resources.limits.memory`"),
        ("mem_reservation", "use `deploy.resources.reservations.memory`"),
        ("mem_swappiness", ""),
        ("memswap_limit", ""),
        ("models", ""),
        ("network_mode", ""),
        ("oom_kill_disable", ""),
        ("oom_score_adj", ""),
        ("pid", ""),
        ("pids_limit", "use `deploy.resources.limits.pids`"),
        ("platform", ""),
        ("post_start", ""),
        ("pre_stop", ""),
        ("privileged", ""),
        ("profiles", "put the service in a file of its own and give that file when it is wanted"),
        ("provider", ""),
        ("pull_policy", "images are deployed by digest, so nothing changes until the next deploy; remove it"),
        ("pull_refresh_after", ""),
        ("read_only", ""),
        ("runtime", ""),
        ("scale", "use `deploy.replicas`"),
        ("secrets", "pass values in `environment`, with `${NAME:?}` from the environment of the deploy"),
        ("security_opt", ""),
        ("shm_size", ""),
        ("stdin_open", ""),
        ("storage_opt", ""),
        ("sysctls", ""),
        ("tmpfs", "use a long entry of `volumes` with `type: tmpfs`"),
        ("tty", ""),
        ("ulimits", ""),
        ("use_api_socket", ""),
        ("userns_mode", ""),
        ("uts", ""),
        ("volumes_from", "name the volume in both services"),
    ],
    closed: false,
};

/// `services.*.build`
pub(crate) const BUILD: Keys = Keys {
    supported: &["args", "context", "dockerfile", "labels", "target"],
    no_effect: NONE,
    unsupported: &[
        ("additional_contexts", ""),
        ("cache_from", "the Engine that builds keeps its cache; remove it"),
        ("cache_to", "the Engine that builds keeps its cache; remove it"),
        ("dockerfile_inline", "write it to a file"),
        ("entitlements", ""),
        ("extra_hosts", ""),
        ("isolation", ""),
        ("network", ""),
        ("no_cache", ""),
        ("platforms", ""),
        ("privileged", ""),
        ("provenance", ""),
        ("pull", ""),
        ("sbom", ""),
        ("secrets", ""),
        ("shm_size", ""),
        ("ssh", ""),
        ("tags", ""),
        ("ulimits", ""),
    ],
    closed: false,
};

/// `services.*.env_file[]`
pub(crate) const ENV_FILE: Keys = complete(&["format", "path", "required"]);

/// `services.*.depends_on.*`
pub(crate) const DEPENDENCY: Keys = Keys {
    supported: &["condition", "required"],
    no_effect: NONE,
    unsupported: &[("restart", "")],
    closed: false,
};

/// `services.*.ports[]`
pub(crate) const PORT: Keys = Keys {
    supported: &["host_ip", "mode", "protocol", "published", "target"],
    no_effect: &[("app_protocol", "it only informs"), ("name", "it only informs")],
    unsupported: NONE,
    closed: false,
};

/// `services.*.volumes[]`
pub(crate) const MOUNT: Keys = Keys {
    supported: &["bind", "read_only", "source", "target", "type"],
    no_effect: &[("consistency", "it is for Docker Desktop")],
    unsupported: &[("image", ""), ("tmpfs", ""), ("volume", "")],
    closed: false,
};

/// `services.*.volumes[].bind`
pub(crate) const MOUNT_BIND: Keys = Keys {
    supported: &["create_host_path"],
    no_effect: NONE,
    unsupported: &[("propagation", ""), ("recursive", ""), ("selinux", "")],
    closed: false,
};

/// `services.*.networks.*`
pub(crate) const SERVICE_NETWORK: Keys = Keys {
    supported: &["aliases"],
    no_effect: NONE,
    unsupported: &[
        ("driver_opts", ""),
        ("gw_priority", ""),
        ("interface_name", ""),
        ("ipv4_address", "use the service's name or `aliases`"),
        ("ipv6_address", "use the service's name or `aliases`"),
        ("link_local_ips", ""),
        ("mac_address", ""),
        ("priority", ""),
    ],
    closed: false,
};

/// `services.*.healthcheck`
pub(crate) const HEALTHCHECK: Keys = Keys {
    supported: &["disable", "interval", "retries", "start_period", "test", "timeout"],
    no_effect: NONE,
    unsupported: &[("start_interval", "it needs Docker Engine 25")],
    closed: false,
};

/// `services.*.deploy`
pub(crate) const DEPLOY: Keys = Keys {
    supported: &["labels", "replicas", "resources"],
    no_effect: NONE,
    unsupported: &[
        ("endpoint_mode", ""),
        ("mode", ""),
        ("placement", "use `x-wharf.hosts`"),
        ("restart_policy", "use `restart`"),
        (
            "rollback_config",
            "a release that fails before the switch never serves; `wharf rollback` goes back",
        ),
        ("update_config", "use `x-wharf.rollout`"),
    ],
    closed: false,
};

/// `services.*.deploy.resources`
pub(crate) const RESOURCES: Keys = complete(&["limits", "reservations"]);

/// `services.*.deploy.resources.limits`
pub(crate) const LIMITS: Keys = complete(&["cpus", "memory", "pids"]);

/// `services.*.deploy.resources.reservations`
pub(crate) const RESERVATIONS: Keys = Keys {
    supported: &["cpus", "memory"],
    no_effect: NONE,
    unsupported: &[("devices", ""), ("generic_resources", "")],
    closed: false,
};

/// `networks.*`
pub(crate) const NETWORK: Keys = Keys {
    supported: &["driver", "external", "internal", "labels", "name"],
    no_effect: NONE,
    unsupported: &[
        ("attachable", ""),
        ("driver_opts", ""),
        ("enable_ipv4", ""),
        ("enable_ipv6", ""),
        ("ipam", "the Engine picks a free range; remove it"),
    ],
    closed: false,
};

/// `volumes.*`
pub(crate) const VOLUME: Keys = complete(&["driver", "driver_opts", "external", "labels", "name"]);

/// `external` of networks and volumes, the old form.
pub(crate) const EXTERNAL: Keys = complete(&["name"]);

/// `x-wharf` of a service.
pub(crate) const X_WHARF: Keys = ours(&["drift", "health", "hosts", "rollout", "route"]);

/// `x-wharf.route`
pub(crate) const X_WHARF_ROUTE: Keys = ours(&["balance", "host", "path", "port", "timeout"]);

/// `x-wharf.health`
pub(crate) const X_WHARF_HEALTH: Keys =
    ours(&["fall", "interval", "path", "port", "rise", "start_period", "timeout"]);

/// `x-wharf.rollout`
pub(crate) const X_WHARF_ROLLOUT: Keys = ours(&["drain", "strategy"]);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const ALL: [&Keys; 22] = [
        &TOP,
        &SERVICE,
        &BUILD,
        &ENV_FILE,
        &DEPENDENCY,
        &PORT,
        &MOUNT,
        &MOUNT_BIND,
        &SERVICE_NETWORK,
        &HEALTHCHECK,
        &DEPLOY,
        &RESOURCES,
        &LIMITS,
        &RESERVATIONS,
        &NETWORK,
        &VOLUME,
        &EXTERNAL,
        &X_WHARF,
        &X_WHARF_ROUTE,
        &X_WHARF_HEALTH,
        &X_WHARF_ROLLOUT,
        &ours(&[]),
    ];

    #[test]
    fn lists_are_sorted_and_no_key_is_in_two_of_them() {
        for keys in ALL {
            let all: Vec<&str> = keys.all().collect();
            assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{all:?}");
            for list in [keys.no_effect, keys.unsupported] {
                assert!(list.is_sorted_by_key(|(key, _)| *key), "{list:?}");
            }
            assert!(keys.supported.is_sorted() || keys.supported == TOP.supported, "{:?}", keys.supported);
        }
    }

    #[test]
    fn no_key_of_ours_is_a_boolean_in_yaml_1_1() {
        // docker-compose 1.29 reads `on:` as `true:` (areas/fleet.md).
        for keys in ALL.iter().filter(|keys| keys.closed) {
            for key in keys.all() {
                assert!(!["on", "off", "yes", "no", "y", "n"].contains(&key), "{key}");
            }
        }
    }
}
