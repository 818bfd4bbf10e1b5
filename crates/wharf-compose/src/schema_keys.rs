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
    // In the order in which they are read.
    supported: &["name", "include", "services", "networks", "volumes", "configs", "secrets"],
    no_effect: &[("version", "Compose ignores it since 2020, remove it")],
    unsupported: &[("models", "run the model as a service")],
    closed: false,
};

/// `include[]`
pub(crate) const INCLUDE: Keys = complete(&["env_file", "path", "project_directory"]);

/// `services.*.extends`
pub(crate) const EXTENDS: Keys = complete(&["file", "service"]);

/// `services.*`
pub(crate) const SERVICE: Keys = Keys {
    supported: &[
        "blkio_config",
        "build",
        "cap_add",
        "cap_drop",
        "cgroup",
        "cgroup_parent",
        "command",
        "configs",
        "container_name",
        "cpu_period",
        "cpu_quota",
        "cpu_rt_period",
        "cpu_rt_runtime",
        "cpu_shares",
        "cpus",
        "cpuset",
        "depends_on",
        "deploy",
        "device_cgroup_rules",
        "devices",
        "dns",
        "dns_opt",
        "dns_search",
        "domainname",
        "entrypoint",
        "env_file",
        "environment",
        "expose",
        "extends",
        "extra_hosts",
        "gpus",
        "group_add",
        "healthcheck",
        "hostname",
        "image",
        "init",
        "ipc",
        "label_file",
        "labels",
        "links",
        "logging",
        "mac_address",
        "mem_limit",
        "mem_reservation",
        "mem_swappiness",
        "memswap_limit",
        "network_mode",
        "networks",
        "oom_kill_disable",
        "oom_score_adj",
        "pid",
        "pids_limit",
        "platform",
        "ports",
        "privileged",
        "profiles",
        "pull_policy",
        "read_only",
        "restart",
        "runtime",
        "scale",
        "secrets",
        "security_opt",
        "shm_size",
        "stdin_open",
        "stop_grace_period",
        "stop_signal",
        "storage_opt",
        "sysctls",
        "tmpfs",
        "tty",
        "ulimits",
        "user",
        "userns_mode",
        "uts",
        "volumes",
        "volumes_from",
        "working_dir",
        "x-wharf",
    ],
    no_effect: &[
        ("attach", "it concerns only what `docker compose up` prints"),
        ("develop", "it is for `docker compose watch`"),
    ],
    unsupported: &[
        ("annotations", "they need Docker Engine 24; use `labels`"),
        ("cpu_count", "it is for Windows; use `cpus`"),
        ("cpu_percent", "it is for Windows; use `cpus`"),
        ("credential_spec", "it is for Windows; remove it"),
        ("external_links", "put both on a network that is `external`"),
        ("isolation", "it is for Windows; remove it"),
        ("models", "run the model as a service and name it in `environment`"),
        (
            "post_start",
            "do it in the image's entrypoint, or in a service that others wait for with `depends_on`",
        ),
        ("pre_stop", "let the application do it on its stop signal (`stop_signal`, `stop_grace_period`)"),
        (
            "provider",
            "it is a plug-in of the docker command; make the resource yourself, or run it as a service",
        ),
        ("pull_refresh_after", "each deploy pulls tags again; remove it"),
        ("use_api_socket", "mount `/var/run/docker.sock` if the service is to control Docker"),
    ],
    closed: false,
};

/// `services.*.build`
pub(crate) const BUILD: Keys = Keys {
    supported: &[
        "args",
        "cache_from",
        "context",
        "dockerfile",
        "dockerfile_inline",
        "extra_hosts",
        "labels",
        "network",
        "no_cache",
        "platforms",
        "pull",
        "shm_size",
        "tags",
        "target",
        "ulimits",
    ],
    no_effect: NONE,
    unsupported: &[
        (
            "additional_contexts",
            "use a stage of the Dockerfile (`COPY --from`), or one context that holds both",
        ),
        ("cache_to", "the Engine that builds keeps its cache; remove it"),
        ("entitlements", "builds run without privileges; do it when the container starts"),
        ("isolation", "it is for Windows; remove it"),
        ("privileged", "builds run without privileges; do it when the container starts"),
        ("provenance", "remove it"),
        ("sbom", "remove it"),
        (
            "secrets",
            "builds take no secrets; pass what may be public in `args`, or build elsewhere and name the image",
        ),
        ("ssh", "builds take no SSH agent; put the sources in the context"),
    ],
    closed: false,
};

/// `services.*.env_file[]`
pub(crate) const ENV_FILE: Keys = complete(&["format", "path", "required"]);

/// `services.*.depends_on.*`
pub(crate) const DEPENDENCY: Keys = Keys {
    supported: &["condition", "required"],
    no_effect: NONE,
    unsupported: &[("restart", "a service is replaced when something about it changes; remove it")],
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
    supported: &["bind", "read_only", "source", "target", "tmpfs", "type", "volume"],
    no_effect: &[("consistency", "it is for Docker Desktop")],
    unsupported: &[("image", "copy the files in the Dockerfile (`COPY --from`)")],
    closed: false,
};

/// `services.*.volumes[].bind`
pub(crate) const MOUNT_BIND: Keys = Keys {
    supported: &["create_host_path", "propagation", "selinux"],
    no_effect: NONE,
    unsupported: &[("recursive", "it needs Docker Engine 25; mount what is needed in entries of its own")],
    closed: false,
};

/// `services.*.volumes[].volume`
pub(crate) const MOUNT_VOLUME: Keys = Keys {
    supported: &["nocopy"],
    no_effect: NONE,
    unsupported: &[
        ("labels", "put them under the top-level `volumes`"),
        ("subpath", "it needs Docker Engine 26; use a volume of its own for the part"),
    ],
    closed: false,
};

/// `services.*.volumes[].tmpfs`
pub(crate) const MOUNT_TMPFS: Keys = complete(&["mode", "size"]);

/// `services.*.networks.*`
pub(crate) const SERVICE_NETWORK: Keys = Keys {
    supported: &[
        "aliases",
        "driver_opts",
        "ipv4_address",
        "ipv6_address",
        "link_local_ips",
        "mac_address",
        "priority",
    ],
    no_effect: NONE,
    unsupported: &[
        ("gw_priority", "it needs Docker Engine 28; use `priority` where the order is enough"),
        ("interface_name", "it needs Docker Engine 28; remove it"),
    ],
    closed: false,
};

/// `services.*.healthcheck`
pub(crate) const HEALTHCHECK: Keys =
    complete(&["disable", "interval", "retries", "start_interval", "start_period", "test", "timeout"]);

/// `services.*.blkio_config`
pub(crate) const BLKIO: Keys = complete(&[
    "device_read_bps",
    "device_read_iops",
    "device_write_bps",
    "device_write_iops",
    "weight",
    "weight_device",
]);

/// `services.*.blkio_config.device_*[]`
pub(crate) const BLKIO_RATE: Keys = complete(&["path", "rate"]);

/// `services.*.blkio_config.weight_device[]`
pub(crate) const BLKIO_WEIGHT: Keys = complete(&["path", "weight"]);

/// `services.*.devices[]`
pub(crate) const DEVICE: Keys = complete(&["permissions", "source", "target"]);

/// `services.*.gpus[]` and `services.*.deploy.resources.reservations.devices[]`
pub(crate) const DEVICE_REQUEST: Keys =
    complete(&["capabilities", "count", "device_ids", "driver", "options"]);

/// `services.*.logging`
pub(crate) const LOGGING: Keys = complete(&["driver", "options"]);

/// `services.*.secrets[]` and `services.*.configs[]`
pub(crate) const FILE_MOUNT: Keys = complete(&["gid", "mode", "source", "target", "uid"]);

/// `services.*.ulimits.*`
pub(crate) const ULIMIT: Keys = complete(&["hard", "soft"]);

/// `services.*.deploy`
pub(crate) const DEPLOY: Keys = Keys {
    supported: &["labels", "mode", "placement", "replicas", "resources", "restart_policy", "update_config"],
    no_effect: &[("endpoint_mode", "it is for Swarm; services find each other by name")],
    unsupported: &[(
        "rollback_config",
        "a release that fails before the switch never serves; `wharf rollback` goes back",
    )],
    closed: false,
};

/// `services.*.deploy.placement`
pub(crate) const PLACEMENT: Keys = Keys {
    supported: &["constraints"],
    no_effect: NONE,
    unsupported: &[
        ("max_replicas_per_node", "Wharf spreads containers over the hosts of `x-wharf.hosts`"),
        ("preferences", "Wharf spreads containers over the hosts of `x-wharf.hosts`"),
    ],
    closed: false,
};

/// `services.*.deploy.restart_policy`
pub(crate) const RESTART_POLICY: Keys = Keys {
    supported: &["condition", "max_attempts"],
    no_effect: &[
        ("delay", "the Engine waits longer after each failure, from 100ms to a minute"),
        ("window", "the Engine counts a start as successful after 10s"),
    ],
    unsupported: NONE,
    closed: false,
};

/// `services.*.deploy.update_config`
pub(crate) const UPDATE_CONFIG: Keys = Keys {
    supported: &["failure_action", "order"],
    no_effect: NONE,
    unsupported: &[
        ("delay", "use `x-wharf.rollout`"),
        ("max_failure_ratio", "a release takes over when all of its containers are healthy; remove it"),
        ("monitor", "use `start_period` of `x-wharf.health`"),
        ("parallelism", "use `x-wharf.rollout`"),
    ],
    closed: false,
};

/// `services.*.deploy.resources`
pub(crate) const RESOURCES: Keys = complete(&["limits", "reservations"]);

/// `services.*.deploy.resources.limits`
pub(crate) const LIMITS: Keys = complete(&["cpus", "memory", "pids"]);

/// `services.*.deploy.resources.reservations`
pub(crate) const RESERVATIONS: Keys = Keys {
    supported: &["cpus", "devices", "memory"],
    no_effect: NONE,
    unsupported: &[("generic_resources", "give hosts a label and use `x-wharf.hosts: label(…)`")],
    closed: false,
};

/// `networks.*`
pub(crate) const NETWORK: Keys = Keys {
    supported: &[
        "attachable",
        "driver",
        "driver_opts",
        "enable_ipv6",
        "external",
        "internal",
        "ipam",
        "labels",
        "name",
    ],
    no_effect: NONE,
    unsupported: &[("enable_ipv4", "it needs Docker Engine 28; remove it")],
    closed: false,
};

/// `networks.*.ipam`
pub(crate) const IPAM: Keys = complete(&["config", "driver", "options"]);

/// `networks.*.ipam.config[]`
pub(crate) const IPAM_POOL: Keys = complete(&["aux_addresses", "gateway", "ip_range", "subnet"]);

/// `secrets.*`
pub(crate) const SECRET: Keys = Keys {
    supported: &["environment", "external", "file", "labels", "name"],
    no_effect: NONE,
    unsupported: &[
        ("driver", "it is for Swarm; use `file` or `environment`"),
        ("driver_opts", "it is for Swarm; use `file` or `environment`"),
        ("template_driver", "it is for Swarm; write the content with `${…}` in the Compose file"),
    ],
    closed: false,
};

/// `configs.*`
pub(crate) const CONFIG: Keys = Keys {
    supported: &["content", "environment", "external", "file", "labels", "name"],
    no_effect: NONE,
    unsupported: &[("template_driver", "it is for Swarm; use `content` with `${…}`")],
    closed: false,
};

/// `volumes.*`
pub(crate) const VOLUME: Keys = complete(&["driver", "driver_opts", "external", "labels", "name"]);

/// `external` of networks and volumes, the old form.
pub(crate) const EXTERNAL: Keys = complete(&["name"]);

/// `x-wharf.before_switch`
pub(crate) const X_WHARF_BEFORE_SWITCH: Keys = ours(&["command", "timeout"]);

/// `x-wharf` of a service.
pub(crate) const X_WHARF: Keys =
    ours(&["before_switch", "drift", "health", "hosts", "reschedule", "rollout", "route"]);

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

    const ALL: &[&Keys] = &[
        &TOP,
        &INCLUDE,
        &EXTENDS,
        &SERVICE,
        &BUILD,
        &ENV_FILE,
        &DEPENDENCY,
        &PORT,
        &MOUNT,
        &MOUNT_BIND,
        &MOUNT_VOLUME,
        &MOUNT_TMPFS,
        &SERVICE_NETWORK,
        &HEALTHCHECK,
        &BLKIO,
        &BLKIO_RATE,
        &BLKIO_WEIGHT,
        &DEVICE,
        &DEVICE_REQUEST,
        &LOGGING,
        &FILE_MOUNT,
        &ULIMIT,
        &DEPLOY,
        &PLACEMENT,
        &RESTART_POLICY,
        &UPDATE_CONFIG,
        &RESOURCES,
        &LIMITS,
        &RESERVATIONS,
        &NETWORK,
        &IPAM,
        &IPAM_POOL,
        &SECRET,
        &CONFIG,
        &VOLUME,
        &EXTERNAL,
        &X_WHARF,
        &X_WHARF_BEFORE_SWITCH,
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
