//! One service.

use crate::diagnostic::{Kind, Place, Problem};
use crate::project::{NetworkMode, Restart, Service, ServiceNetwork, Strategy};
use crate::read::context::Context;
use crate::read::files::{self, Sort};
use crate::read::links::{self, Links};
use crate::read::{
    build, container, depends_on, deploy, environment, healthcheck, hosts, mount, network, pairs, port,
    resources, scalar, ulimits, x_wharf,
};
use crate::schema_keys as keys;
use crate::shell;
use crate::yaml::{Entry, Node, Scalar, Value};

pub(super) fn read(cx: &mut Context<'_>, entry: &Entry) -> Option<(Service, Links)> {
    let name = entry.key.as_str();
    let what = format!("service `{}`", crate::yaml_text(name));
    if entry.value.is_null() {
        let problem = Problem::value(format!("{what} is empty")).hint("it needs at least `image` or `build`");
        cx.error(entry.key_place, problem);
        return None;
    }
    let mut service = Service::default();
    let mut links = Links::default();
    let mut deploy = deploy::Read::default();
    let (mut env_file, mut own_environment, mut label_file) = (None, None, None);
    for field in cx.fields(&entry.value, &keys::SERVICE, &what) {
        let value = &field.value;
        let of = format!("`{}` of {what}", field.key);
        match field.key.as_str() {
            "blkio_config" => service.blkio_config = container::blkio(cx, value, &what),
            "build" => service.build = build::read(cx, value, &what),
            "cap_add" => service.cap_add = cx.set(value, of),
            "cap_drop" => service.cap_drop = cx.set(value, of),
            "cgroup" => service.cgroup = container::namespace(cx, value, container::CGROUP, &of),
            "cgroup_parent" => service.cgroup_parent = cx.string(value, of),
            "command" => service.command = command(cx, value, &of),
            "configs" => service.configs = files::of_service(cx, value, &what, Sort::Config),
            "container_name" => service.container_name = container_name(cx, value, &of),
            "cpu_period" => service.cpu_period = cx.scalar(value, of, container::microseconds),
            "cpu_quota" => service.cpu_quota = cx.scalar(value, of, container::microseconds),
            "cpu_rt_period" => service.cpu_rt_period = cx.scalar(value, of, container::microseconds),
            "cpu_rt_runtime" => service.cpu_rt_runtime = cx.scalar(value, of, container::microseconds),
            "cpu_shares" => {
                service.cpu_shares = cx.scalar(value, of, |node| scalar::integer(node, 0, 262_144));
            }
            "cpuset" => service.cpuset = cx.word(value, of),
            "depends_on" => service.depends_on = depends_on::read(cx, value, name, &what),
            "deploy" => deploy = deploy::read(cx, value, &what),
            "device_cgroup_rules" => service.device_cgroup_rules = cx.set(value, of),
            "devices" => service.devices = container::devices(cx, value, &what),
            "dns" => service.dns = texts(cx.one_or_more(value, of)),
            "dns_opt" => service.dns_opt = cx.set(value, of),
            "dns_search" => service.dns_search = texts(cx.one_or_more(value, of)),
            "domainname" => service.domainname = cx.string(value, of),
            "entrypoint" => service.entrypoint = command(cx, value, &of),
            "env_file" => env_file = Some(value),
            "environment" => own_environment = Some(value),
            "expose" => service.expose = port::expose(cx, value, &what),
            "extra_hosts" => service.extra_hosts = hosts::read(cx, value, &of),
            "gpus" => {
                service.device_requests.extend(container::device_requests(cx, value, &of, true));
            }
            "group_add" => service.group_add = cx.set(value, of),
            "healthcheck" => service.healthcheck = Some(healthcheck::read(cx, value, &what)),
            "hostname" => service.hostname = cx.string(value, of),
            "image" => service.image = image(cx, value, &of),
            "init" => service.init = cx.scalar(value, of, scalar::boolean),
            "ipc" => service.ipc = container::namespace(cx, value, container::IPC, &of),
            "label_file" => label_file = Some(value),
            "labels" => service.labels = pairs::labels(cx, value, &of),
            "links" => links::read_links(cx, value, &of, &mut links),
            "logging" => service.logging = Some(container::logging(cx, value, &what)),
            "mac_address" => service.mac_address = container::mac_address(cx, value, &of),
            "mem_swappiness" => {
                service.mem_swappiness = cx.scalar(value, of, |node| scalar::integer(node, -1, 100));
            }
            "memswap_limit" => service.memswap_limit_bytes = cx.scalar(value, of, container::swap_bytes),
            "network_mode" => service.network_mode = container::network_mode(cx, value, &of),
            "networks" => service.networks = network::of_service(cx, value, &what),
            "oom_kill_disable" => service.oom_kill_disable = cx.boolean(value, of),
            "oom_score_adj" => {
                service.oom_score_adj = cx.scalar(value, of, |node| scalar::integer(node, -1000, 1000));
            }
            "pid" => service.pid = container::namespace(cx, value, container::PID, &of),
            "platform" => service.platform = cx.string(value, of),
            "ports" => service.ports = port::read(cx, value, &what),
            "privileged" => service.privileged = cx.boolean(value, of),
            "pull_policy" => service.pull_policy = cx.scalar(value, of, container::pull_policy),
            "read_only" => service.read_only = cx.boolean(value, of),
            "restart" => service.restart = cx.scalar(value, of, restart),
            "runtime" => service.runtime = cx.string(value, of),
            "secrets" => service.secrets = files::of_service(cx, value, &what, Sort::Secret),
            "security_opt" => service.security_opt = container::security_opt(cx, value, &of),
            "shm_size" => service.shm_size_bytes = cx.scalar(value, of, scalar::bytes),
            "stdin_open" => service.stdin_open = cx.boolean(value, of),
            "stop_grace_period" => service.stop_grace_period = cx.scalar(value, of, scalar::duration),
            "stop_signal" => service.stop_signal = stop_signal(cx, value, &of),
            "storage_opt" => service.storage_opt = pairs::map(cx, value, &of),
            "sysctls" => service.sysctls = pairs::map(cx, value, &of),
            "tmpfs" => service.tmpfs = container::tmpfs(cx, value, &of),
            "tty" => service.tty = cx.boolean(value, of),
            "ulimits" => service.ulimits = ulimits::read(cx, value, &of),
            "user" => service.user = cx.string(value, of),
            "userns_mode" => {
                service.userns_mode = container::namespace(cx, value, container::ONLY_HOST, &of);
            }
            "uts" => service.uts = container::namespace(cx, value, container::ONLY_HOST, &of),
            "volumes" => service.volumes = mount::read(cx, value, &what),
            "volumes_from" => links::read_volumes_from(cx, value, &of, &mut links),
            "working_dir" => service.working_dir = cx.string(value, of),
            // Those that say the same as a key of `deploy` are read by `resources`, and `x-wharf` below: it looks at
            // the service as a whole.
            _ => {}
        }
    }
    service.environment = environment::read(cx, env_file, own_environment, &what);
    service.labels = environment::with_label_file(cx, label_file, service.labels, &what);
    service.deploy = deploy.deploy;
    service.device_requests.extend(deploy.device_requests);
    service.restart = service.restart.or(deploy.restart);
    resources::read(cx, &entry.value, &mut service, &what);
    networks(cx, entry, &mut service, &what);
    if service.image.is_none() && service.build.is_none() {
        let is_unset = |key| match entry.value.as_mapping() {
            Some(mapping) => mapping.get(key).is_none_or(Node::is_null),
            None => false,
        };
        // A wrong `image` was reported already.
        if is_unset("image") && is_unset("build") {
            let problem = Problem::value(format!("{what} has neither `image` nor `build`"));
            cx.error(entry.key_place, problem);
        }
    }
    let extension = entry.value.as_mapping().and_then(|mapping| mapping.get("x-wharf"));
    if let Some(node) = extension {
        service.x_wharf = x_wharf::read(cx, node, &service, &what);
    }
    service.x_wharf.hosts = service.x_wharf.hosts.or(deploy.hosts);
    if let (None, Some(strategy)) = (&service.x_wharf.rollout, deploy.strategy) {
        match (strategy, service.runs_once_because()) {
            (Strategy::BlueGreen, Some(reason)) => {
                let message = format!(
                    "`deploy.update_config` of {what}: start-first runs the old and the new side by side, but {reason}"
                );
                let problem = Problem::new(Kind::Reference, message);
                cx.error(entry.key_place, problem.hint("write `order: stop-first`, or remove what fixes it"));
            }
            (strategy, _) => service.x_wharf.rollout = Some(x_wharf::rollout_of(strategy)),
        }
    }
    check_container_name(cx, &entry.value, &service, &what);
    Some((service, links))
}

fn texts(strings: Vec<(Place, String)>) -> Vec<String> {
    strings.into_iter().map(|(_, text)| text).collect()
}

/// The default network, unless `network_mode` says that there is none; and what the mode excludes.
fn networks(cx: &mut Context<'_>, entry: &Entry, service: &mut Service, what: &str) {
    let Some(mode) = &service.network_mode else {
        if service.networks.is_empty() {
            service.networks.insert("default".to_owned(), ServiceNetwork::default());
        }
        return;
    };
    let place =
        |key| entry.value.as_mapping().and_then(|mapping| mapping.entry(key)).map(|entry| entry.key_place);
    if !service.networks.is_empty() {
        let problem = Problem::new(Kind::Reference, "`network_mode` and `networks` exclude each other");
        cx.error(place("networks").unwrap_or(entry.key_place), problem.about(what));
    }
    if !service.ports.is_empty() {
        let place = place("ports").unwrap_or(entry.key_place);
        match mode {
            NetworkMode::Bridge => {}
            NetworkMode::Host => {
                let problem = Problem::new(Kind::Effect, "`ports` has no effect with `network_mode: host`");
                cx.warn(place, problem.hint("the container's ports are the host's").about(what));
            }
            NetworkMode::None | NetworkMode::Service(_) | NetworkMode::Container(_) => {
                let problem = Problem::new(Kind::Reference, "`network_mode` and `ports` exclude each other");
                cx.error(place, problem.hint("publish them where the network is").about(what));
            }
        }
    }
}

/// A list of words, or a string that is split as a shell does.
pub(super) fn command(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<Vec<String>> {
    if matches!(node.value, Value::Sequence(_)) {
        return Some(cx.strings(node, what));
    }
    let text = cx.string(node, what)?;
    let split = shell::split(&text).map_err(Problem::value);
    let words = cx.take(node.place, what, split)?;
    if let Some(operator) = words.operator {
        let message = format!("`{operator}` is passed on as text, because no shell runs the command");
        let hint = "write [\"sh\", \"-c\", \"…\"], or put it in quotes";
        cx.warn(node.place, Problem::new(Kind::Effect, message).hint(hint).about(what));
    }
    Some(words.words)
}

fn image(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<String> {
    let image = cx.string(node, what)?;
    if image.is_empty() || image.contains(|c: char| c.is_whitespace() || c.is_control()) {
        let message = format!("`{}` is no image reference", crate::yaml_text(&image));
        cx.error(node.place, Problem::value(message).about(what));
        return None;
    }
    Some(image)
}

fn container_name(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<String> {
    let name = cx.string(node, what)?;
    let is_word = |byte: u8| byte.is_ascii_alphanumeric();
    let valid = name.len() > 1
        && name.bytes().all(|byte| is_word(byte) || matches!(byte, b'_' | b'.' | b'-'))
        && name.bytes().next().is_some_and(is_word);
    if !valid {
        let message = format!("`{}` is no name of a container", crate::yaml_text(&name));
        let hint = "letters, digits, `_`, `.` and `-`, beginning with a letter or digit";
        cx.error(node.place, Problem::value(message).hint(hint).about(what));
        return None;
    }
    Some(name)
}

/// A name such as `SIGTERM`, or a number.
fn stop_signal(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<String> {
    let signal = match &node.value {
        Value::Scalar(Scalar::Integer(number, _)) => number.to_string(),
        _ => cx.string(node, what)?,
    };
    let valid = !signal.is_empty()
        && signal.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-'));
    if !valid {
        let message = format!("`{}` is no signal", crate::yaml_text(&signal));
        cx.error(node.place, Problem::value(message).hint("for example SIGTERM").about(what));
        return None;
    }
    Some(signal)
}

fn restart(node: &Node) -> Result<Restart, Problem> {
    // LIMIT: Docker takes an int; beyond a million it means "always".
    const RETRIES_MAX: u32 = 1_000_000;
    if let Value::Scalar(Scalar::Bool(false)) = node.value {
        return Err(Problem::value("a string is expected, this is the boolean `false`")
            .hint("write `restart: \"no\"`"));
    }
    if let Value::Scalar(Scalar::String(text)) = &node.value
        && let Some(count) = text.strip_prefix("on-failure:")
    {
        return match count.parse::<u32>() {
            Ok(count) if count <= RETRIES_MAX => Ok(Restart::OnFailure(Some(count))),
            Ok(_) | Err(_) => {
                Err(Problem::value(format!("`{}` is no number of retries", crate::yaml_text(count))))
            }
        };
    }
    let words = [
        ("no", Restart::No),
        ("always", Restart::Always),
        ("on-failure", Restart::OnFailure(None)),
        ("unless-stopped", Restart::UnlessStopped),
    ];
    scalar::word(node, &words)
}

fn check_container_name(cx: &mut Context<'_>, node: &Node, service: &Service, what: &str) {
    let place =
        node.as_mapping().and_then(|mapping| mapping.entry("container_name")).map(|entry| entry.key_place);
    if let (Some(place), Some(replicas)) = (place, service.deploy.replicas)
        && service.container_name.is_some()
        && replicas > 1
    {
        let message =
            format!("{what} has a `container_name` and {replicas} replicas, but a name is given once");
        cx.error(
            place,
            Problem::new(Kind::Reference, message).hint("remove `container_name`, or run one replica"),
        );
    }
}
