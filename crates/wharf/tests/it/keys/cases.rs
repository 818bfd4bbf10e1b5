//! One service for each key, with a value of it and another one. `HOST1` and `HOST2` stand for free ports, `SUBNET` for three
//! numbers of a network that is the test's own.

/// A service of the Compose file that has one key.
pub(super) struct Case {
    /// Name of the service.
    pub(super) name: &'static str,
    /// The key with a value, as it stands under the service.
    pub(super) first: &'static str,
    /// The same with another value; empty without the key.
    pub(super) second: &'static str,
}

const fn case(name: &'static str, first: &'static str, second: &'static str) -> Case {
    Case { name, first, second }
}

/// Sorted by what they are about.
pub(super) const CASES: &[Case] = &[
    case("command", "command: [wait]", "command: [wait, more]"),
    case("entrypoint", "entrypoint: [/program]", "entrypoint: [/program, wait]"),
    case("environment", "environment: { A: '1' }", "environment: { A: '2' }"),
    case("labels", "labels: { com.example.a: '1' }", "labels: { com.example.a: '2' }"),
    case("working-dir", "working_dir: /a", "working_dir: /b"),
    case("user", "user: '1000:1000'", "user: '1001'"),
    case("hostname", "hostname: one", "hostname: two"),
    case("domainname", "domainname: one.example", "domainname: two.example"),
    case("init", "init: true", "init: false"),
    case("tty", "tty: true", "tty: false"),
    case("stdin", "stdin_open: true", "stdin_open: false"),
    case("expose", "expose: ['9000']", "expose: ['9001']"),
    case("ports", "ports: ['127.0.0.1:HOST1:9000']", "ports: ['127.0.0.1:HOST2:9000']"),
    case(
        "healthcheck",
        "healthcheck: { test: [CMD, /program, tell, HOME, '0'], interval: 1s, timeout: 3s, retries: 4, start_period: 2s }",
        "healthcheck: { test: [CMD, /program, tell, HOME, '0'], interval: 1s, timeout: 3s, retries: 5, start_period: 2s }",
    ),
    case("restart", "restart: unless-stopped", "restart: 'on-failure:3'"),
    case("stop-signal", "stop_signal: SIGINT", "stop_signal: SIGTERM"),
    case("stop-grace", "stop_grace_period: 3s", "stop_grace_period: 4s"),
    case("mem", "mem_limit: 32m", "mem_limit: 48m"),
    case("mem-reservation", "mem_reservation: 16m", "mem_reservation: 20m"),
    case("memswap", "mem_limit: 32m\n    memswap_limit: 64m", "mem_limit: 32m\n    memswap_limit: -1"),
    case("swappiness", "mem_swappiness: 10", "mem_swappiness: 20"),
    case("cpus", "cpus: 0.5", "cpus: 0.75"),
    case("cpu-shares", "cpu_shares: 100", "cpu_shares: 200"),
    case("cpu-quota", "cpu_quota: 50000\n    cpu_period: 100000", "cpu_quota: 50000\n    cpu_period: 90000"),
    case("cpuset", "cpuset: '0'", "cpuset: '0,1'"),
    case("pids", "pids_limit: 50", "pids_limit: 60"),
    case("blkio", "blkio_config: { weight: 300 }", "blkio_config: { weight: 400 }"),
    case("cap-add", "cap_add: [NET_ADMIN]", "cap_add: [NET_ADMIN, SYS_TIME]"),
    case("cap-drop", "cap_drop: [ALL]", "cap_drop: [KILL]"),
    case("read-only", "read_only: true", "read_only: false"),
    case("security-opt", "security_opt: ['no-new-privileges:true']", "security_opt: ['seccomp:unconfined']"),
    case("group-add", "group_add: ['5000']", "group_add: ['5001']"),
    case("devices", "devices: ['/dev/null:/dev/xnull:r']", "devices: ['/dev/null:/dev/xnull:rw']"),
    case("device-rules", "device_cgroup_rules: ['c 1:3 mr']", "device_cgroup_rules: ['c 1:3 rwm']"),
    case("dns", "dns: [192.0.2.1]", "dns: [192.0.2.2]"),
    case("dns-opt", "dns_opt: ['ndots:1']", "dns_opt: ['ndots:2']"),
    case("dns-search", "dns_search: [one.example]", "dns_search: [two.example]"),
    case("extra-hosts", "extra_hosts: ['a.example:192.0.2.1']", "extra_hosts: ['a.example:192.0.2.2']"),
    case("ipc", "ipc: shareable", "ipc: host"),
    case("pid", "pid: host", ""),
    case("network-mode", "network_mode: none", "network_mode: bridge"),
    case("network-host", "network_mode: host", "network_mode: none"),
    case(
        "logging",
        "logging: { driver: json-file, options: { max-size: 1m } }",
        "logging: { driver: json-file, options: { max-size: 2m } }",
    ),
    case("oom-kill", "mem_limit: 32m\n    oom_kill_disable: true", "mem_limit: 32m"),
    case("oom-score", "oom_score_adj: 100", "oom_score_adj: 200"),
    case("runtime", "runtime: runc", ""),
    case("shm-size", "shm_size: 1m", "shm_size: 2m"),
    case("sysctls", "sysctls: { net.core.somaxconn: 100 }", "sysctls: { net.core.somaxconn: 101 }"),
    case("tmpfs", "tmpfs: ['/run:size=1m']", "tmpfs: ['/run:size=2m']"),
    case(
        "ulimits",
        "ulimits: { nofile: { soft: 100, hard: 200 } }",
        "ulimits: { nofile: { soft: 100, hard: 201 } }",
    ),
    case("cgroup-parent", "cgroup_parent: /wharf-test-a", ""),
    case("mac", "mac_address: 02:42:ac:11:65:43", "mac_address: 02:42:ac:11:65:44"),
    case("volume", "volumes: ['data:/data']", "volumes: ['data:/other']"),
    case("bind", "volumes: ['/tmp:/x:ro']", "volumes: ['/tmp:/y:ro']"),
    case(
        "tmpfs-mount",
        "volumes: [{ type: tmpfs, target: /scratch, tmpfs: { size: 1000000 } }]",
        "volumes: [{ type: tmpfs, target: /scratch, tmpfs: { size: 2000000 } }]",
    ),
    case(
        "nocopy",
        "volumes: [{ type: volume, source: data, target: /d, volume: { nocopy: true } }]",
        "volumes: [{ type: volume, source: data, target: /d }]",
    ),
    case(
        "propagation",
        "volumes: [{ type: bind, source: /tmp, target: /d, read_only: true, bind: { propagation: private } }]",
        "volumes: [{ type: bind, source: /tmp, target: /d, read_only: true }]",
    ),
    case("aliases", "networks: { default: { aliases: [one] } }", "networks: { default: { aliases: [two] } }"),
    case(
        "address",
        "networks: { lan: { ipv4_address: SUBNET.9 } }",
        "networks: { lan: { ipv4_address: SUBNET.10 } }",
    ),
    case("links", "links: ['base:alias-one']", "links: ['base:alias-two']"),
    case("volumes-from", "volumes_from: [base]", "volumes_from: ['base:ro']"),
    case("uts", "uts: host", ""),
    case("userns", "userns_mode: host", ""),
    case(
        "config",
        "configs: [{ source: conf, target: /etc/one }]",
        "configs: [{ source: conf, target: /etc/two, mode: 0400 }]",
    ),
    case("pull-policy", "pull_policy: never", "pull_policy: missing"),
];

/// Keys that docker-compose 1.29.2 does not know, or for which it does something else.
pub(super) const NOT_IN_PEER: &[(&str, &str)] = &[
    ("uts", "its schema has no `uts`"),
    ("config", "it leaves configs out with a warning: they were Swarm's"),
    ("pull-policy", "its schema has no `pull_policy`"),
];

/// Keys that are no property of the container: another value replaces nothing. A link is a name of the other service.
pub(super) const NO_PROPERTY: &[&str] = &["links", "pull-policy"];
