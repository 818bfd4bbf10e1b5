//! `services.*`.

use serde_json::{Value, json};

use super::{
    boolean, by_name, element, hosts, list, number, one_of, one_or_more, pairs, text, texts, word, x_wharf,
};
use crate::schema_keys as keys;

const PROTOCOLS: &[&str] = &["tcp", "udp"];

pub(super) fn service() -> Value {
    element(
        &keys::SERVICE,
        &[
            ("blkio_config", blkio()),
            ("build", one_of(&[text(), build()])),
            ("cap_add", texts()),
            ("cap_drop", texts()),
            ("cgroup", word(&["host", "private"])),
            ("cgroup_parent", text()),
            ("command", one_or_more()),
            ("configs", file_mounts()),
            ("container_name", text()),
            ("cpu_period", number()),
            ("cpu_quota", number()),
            ("cpu_rt_period", number()),
            ("cpu_rt_runtime", number()),
            ("cpu_shares", number()),
            ("cpus", number()),
            ("cpuset", text()),
            ("depends_on", one_of(&[texts(), by_name(dependency())])),
            ("deploy", deploy()),
            ("device_cgroup_rules", texts()),
            ("devices", list(one_of(&[text(), device()]))),
            ("dns", one_or_more()),
            ("dns_opt", one_or_more()),
            ("dns_search", one_or_more()),
            ("domainname", text()),
            ("entrypoint", one_or_more()),
            ("env_file", env_file()),
            ("environment", pairs()),
            ("expose", texts()),
            ("extends", one_of(&[text(), extends()])),
            ("extra_hosts", hosts()),
            ("gpus", one_of(&[word(&["all"]), list(device_request())])),
            ("group_add", texts()),
            ("healthcheck", healthcheck()),
            ("hostname", text()),
            ("image", text()),
            ("init", boolean()),
            ("ipc", text()),
            ("label_file", one_or_more()),
            ("labels", pairs()),
            ("links", texts()),
            ("logging", element(&keys::LOGGING, &[("driver", text()), ("options", pairs())])),
            ("mac_address", text()),
            ("mem_limit", number()),
            ("mem_reservation", number()),
            ("mem_swappiness", number()),
            ("memswap_limit", number()),
            ("network_mode", text()),
            ("networks", one_of(&[texts(), by_name(network())])),
            ("oom_kill_disable", boolean()),
            ("oom_score_adj", number()),
            ("pid", text()),
            ("pids_limit", number()),
            ("platform", text()),
            ("ports", list(one_of(&[text(), port()]))),
            ("privileged", boolean()),
            ("profiles", texts()),
            ("pull_policy", text()),
            ("read_only", boolean()),
            ("restart", text()),
            ("runtime", text()),
            ("scale", number()),
            ("secrets", file_mounts()),
            ("security_opt", texts()),
            ("shm_size", number()),
            ("stdin_open", boolean()),
            ("stop_grace_period", text()),
            ("stop_signal", text()),
            ("storage_opt", pairs()),
            ("sysctls", pairs()),
            ("tmpfs", one_or_more()),
            ("tty", boolean()),
            ("ulimits", by_name(one_of(&[number(), ulimit()]))),
            ("user", text()),
            ("userns_mode", word(&["host"])),
            ("uts", word(&["host"])),
            ("volumes", list(one_of(&[text(), mount()]))),
            ("volumes_from", texts()),
            ("working_dir", text()),
            ("x-wharf", x_wharf::x_wharf()),
        ],
    )
}

fn build() -> Value {
    element(
        &keys::BUILD,
        &[
            ("args", pairs()),
            ("cache_from", texts()),
            ("context", text()),
            ("dockerfile", text()),
            ("dockerfile_inline", text()),
            ("extra_hosts", hosts()),
            ("labels", pairs()),
            ("network", text()),
            ("no_cache", boolean()),
            ("platforms", texts()),
            ("pull", boolean()),
            ("shm_size", number()),
            ("tags", texts()),
            ("target", text()),
            ("ulimits", by_name(one_of(&[number(), ulimit()]))),
        ],
    )
}

fn env_file() -> Value {
    let entry =
        element(&keys::ENV_FILE, &[("format", word(&["raw"])), ("path", text()), ("required", boolean())]);
    one_of(&[text(), entry.clone(), list(one_of(&[text(), entry]))])
}

fn extends() -> Value {
    element(&keys::EXTENDS, &[("file", text()), ("service", text())])
}

fn dependency() -> Value {
    let conditions = ["service_started", "service_healthy", "service_completed_successfully"];
    element(&keys::DEPENDENCY, &[("condition", word(&conditions)), ("required", boolean())])
}

fn port() -> Value {
    element(
        &keys::PORT,
        &[
            ("host_ip", text()),
            ("mode", word(&["host", "ingress"])),
            ("protocol", word(PROTOCOLS)),
            ("published", text()),
            ("target", number()),
        ],
    )
}

fn mount() -> Value {
    let propagations = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];
    let bind = element(
        &keys::MOUNT_BIND,
        &[
            ("create_host_path", boolean()),
            ("propagation", word(&propagations)),
            ("selinux", word(&["z", "Z"])),
        ],
    );
    element(
        &keys::MOUNT,
        &[
            ("bind", bind),
            ("read_only", boolean()),
            ("source", text()),
            ("target", text()),
            ("tmpfs", element(&keys::MOUNT_TMPFS, &[("mode", number()), ("size", number())])),
            ("type", word(&["bind", "volume", "tmpfs"])),
            ("volume", element(&keys::MOUNT_VOLUME, &[("nocopy", boolean())])),
        ],
    )
}

fn network() -> Value {
    element(
        &keys::SERVICE_NETWORK,
        &[
            ("aliases", texts()),
            ("driver_opts", pairs()),
            ("ipv4_address", text()),
            ("ipv6_address", text()),
            ("link_local_ips", texts()),
            ("mac_address", text()),
            ("priority", number()),
        ],
    )
}

fn healthcheck() -> Value {
    element(
        &keys::HEALTHCHECK,
        &[
            ("disable", boolean()),
            ("interval", text()),
            ("retries", number()),
            ("start_interval", text()),
            ("start_period", text()),
            ("test", one_or_more()),
            ("timeout", text()),
        ],
    )
}

fn blkio() -> Value {
    let rates = || list(element(&keys::BLKIO_RATE, &[("path", text()), ("rate", number())]));
    let weights = list(element(&keys::BLKIO_WEIGHT, &[("path", text()), ("weight", number())]));
    element(
        &keys::BLKIO,
        &[
            ("device_read_bps", rates()),
            ("device_read_iops", rates()),
            ("device_write_bps", rates()),
            ("device_write_iops", rates()),
            ("weight", number()),
            ("weight_device", weights),
        ],
    )
}

fn device() -> Value {
    element(&keys::DEVICE, &[("permissions", text()), ("source", text()), ("target", text())])
}

fn device_request() -> Value {
    element(
        &keys::DEVICE_REQUEST,
        &[
            ("capabilities", texts()),
            ("count", number()),
            ("device_ids", texts()),
            ("driver", text()),
            ("options", pairs()),
        ],
    )
}

fn file_mounts() -> Value {
    let entry = element(
        &keys::FILE_MOUNT,
        &[("gid", text()), ("mode", number()), ("source", text()), ("target", text()), ("uid", text())],
    );
    list(one_of(&[text(), entry]))
}

fn ulimit() -> Value {
    let mut ulimit = element(&keys::ULIMIT, &[("hard", number()), ("soft", number())]);
    ulimit["required"] = json!(["soft", "hard"]);
    ulimit
}

fn deploy() -> Value {
    let limits = element(&keys::LIMITS, &[("cpus", number()), ("memory", number()), ("pids", number())]);
    let reservations = element(
        &keys::RESERVATIONS,
        &[("cpus", number()), ("devices", list(device_request())), ("memory", number())],
    );
    element(
        &keys::DEPLOY,
        &[
            ("labels", pairs()),
            ("mode", word(&["replicated"])),
            ("placement", element(&keys::PLACEMENT, &[("constraints", texts())])),
            ("replicas", number()),
            ("resources", element(&keys::RESOURCES, &[("limits", limits), ("reservations", reservations)])),
            (
                "restart_policy",
                element(
                    &keys::RESTART_POLICY,
                    &[("condition", word(&["any", "none", "on-failure"])), ("max_attempts", number())],
                ),
            ),
            (
                "update_config",
                element(
                    &keys::UPDATE_CONFIG,
                    &[
                        ("failure_action", word(&["rollback"])),
                        ("order", word(&["start-first", "stop-first"])),
                    ],
                ),
            ),
        ],
    )
}
