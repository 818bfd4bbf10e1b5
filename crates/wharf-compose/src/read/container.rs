//! Namespaces, devices, logging and the other settings of a container that take more than a scalar.

use std::collections::BTreeMap;

use crate::diagnostic::{Kind, Place, Problem};
use crate::project::{BlkioConfig, Device, DeviceRequest, Logging, Namespace, NetworkMode, PullPolicy};
use crate::read::context::{Context, Declared};
use crate::read::{pairs, path, scalar};
use crate::schema_keys as keys;
use crate::yaml::{Node, Scalar, Value};

/// Reads `ipc`, `pid`, `uts`, `userns_mode` or `cgroup`; `words` are those that the key takes. Namespaces of services
/// and containers are for `ipc` and `pid`.
pub(super) fn namespace(
    cx: &mut Context<'_>,
    node: &Node,
    words: &[(&str, Namespace)],
    what: &str,
) -> Option<Namespace> {
    let text = cx.string(node, what)?;
    if let Some((_, namespace)) = words.iter().find(|(word, _)| *word == text) {
        return Some(namespace.clone());
    }
    let takes_others = words.iter().any(|(word, _)| *word == SHARE.0);
    match text.split_once(':') {
        Some(("service", name)) if takes_others => {
            service(cx, node.place, name, what).map(Namespace::Service)
        }
        Some(("container", name)) if takes_others && !name.is_empty() => {
            Some(Namespace::Container(name.to_owned()))
        }
        _ => {
            let words: Vec<&str> =
                words.iter().map(|(word, _)| *word).filter(|word| !word.is_empty()).collect();
            let others = if takes_others { ", service:NAME, container:NAME" } else { "" };
            let message = format!("`{}` is none of {}{others}", crate::yaml_text(&text), words.join(", "));
            cx.error(node.place, Problem::value(message).about(what));
            None
        }
    }
}

/// Marks keys whose namespace may be another service's or container's. The empty word means a namespace of its own.
pub(super) const SHARE: (&str, Namespace) = ("", Namespace::Private);
const HOST: (&str, Namespace) = ("host", Namespace::Host);
const PRIVATE: (&str, Namespace) = ("private", Namespace::Private);
/// `ipc`
pub(super) const IPC: &[(&str, Namespace)] =
    &[HOST, PRIVATE, ("shareable", Namespace::Shareable), ("none", Namespace::None), SHARE];
/// `pid`
pub(super) const PID: &[(&str, Namespace)] = &[HOST, SHARE];
/// `uts` and `userns_mode`
pub(super) const ONLY_HOST: &[(&str, Namespace)] = &[HOST];
/// `cgroup`
pub(super) const CGROUP: &[(&str, Namespace)] = &[HOST, PRIVATE];

/// Reads `network_mode`.
pub(super) fn network_mode(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<NetworkMode> {
    let text = cx.string(node, what)?;
    match (text.as_str(), text.split_once(':')) {
        ("none", _) => Some(NetworkMode::None),
        ("host", _) => Some(NetworkMode::Host),
        ("bridge" | "default", _) => Some(NetworkMode::Bridge),
        (_, Some(("service", name))) => service(cx, node.place, name, what).map(NetworkMode::Service),
        (_, Some(("container", name))) if !name.is_empty() => Some(NetworkMode::Container(name.to_owned())),
        _ => {
            let message = format!(
                "`{}` is none of none, host, bridge, service:NAME, container:NAME",
                crate::yaml_text(&text)
            );
            let hint =
                "for a network that exists, declare it with `external: true` and name it in `networks`";
            cx.error(node.place, Problem::value(message).hint(hint).about(what));
            None
        }
    }
}

fn service(cx: &mut Context<'_>, place: Place, name: &str, what: &str) -> Option<String> {
    if !cx.is_declared(Declared::Service, name) {
        let message = format!("{what}: `{}` is no service", crate::yaml_text(name));
        cx.undeclared(place, message, Declared::Service, name, "");
        return None;
    }
    Some(name.to_owned())
}

/// Reads `devices`: `HOST[:CONTAINER[:rwm]]`, or a mapping.
pub(super) fn devices(cx: &mut Context<'_>, node: &Node, service: &str) -> Vec<Device> {
    let what = format!("`devices` of {service}");
    let mut devices: Vec<Device> = Vec::new();
    for item in cx.items(node, &what) {
        let (mut source, mut target, mut permissions) = (None, None, None);
        if item.as_mapping().is_some() {
            for field in cx.fields(item, &keys::DEVICE, &format!("an entry of {what}")) {
                let (value, what) = (&field.value, format!("`{}` in {what}", field.key));
                match field.key.as_str() {
                    "source" => source = cx.string(value, what),
                    "target" => target = cx.string(value, what),
                    _ => permissions = cx.string(value, what),
                }
            }
        } else if let Some(text) = cx.string(item, &what) {
            let mut parts = text.splitn(3, ':').map(str::to_owned);
            (source, target, permissions) = (parts.next(), parts.next(), parts.next());
            // `/dev/x:rwm` has permissions and no target (docker/cli `ParseDevice`).
            if permissions.is_none() && target.as_deref().is_some_and(are_permissions) {
                permissions = target.take();
            }
        } else {
            continue;
        }
        let Some(source) = source.filter(|source| source.starts_with('/')) else {
            let problem = Problem::value("the path of a device of the host is expected");
            cx.error(item.place, problem.hint("for example \"/dev/ttyUSB0:/dev/ttyUSB0:rw\"").about(&what));
            continue;
        };
        let target = target.unwrap_or_else(|| source.clone());
        let permissions = permissions.unwrap_or_else(|| "rwm".to_owned());
        if !target.starts_with('/') || !are_permissions(&permissions) {
            let problem =
                Problem::value("after the device comes its path in the container, then some of `rwm`");
            cx.error(item.place, problem.about(&what));
            continue;
        }
        let device = Device { source, target, permissions };
        match devices.iter_mut().find(|other| other.target == device.target) {
            Some(earlier) => *earlier = device,
            None => devices.push(device),
        }
    }
    devices
}

fn are_permissions(text: &str) -> bool {
    !text.is_empty() && text.len() <= 3 && text.bytes().all(|byte| b"rwm".contains(&byte))
}

/// Reads `gpus` or `deploy.resources.reservations.devices`.
pub(super) fn device_requests(
    cx: &mut Context<'_>,
    node: &Node,
    what: &str,
    is_gpu: bool,
) -> Vec<DeviceRequest> {
    let gpu = || vec!["gpu".to_owned()];
    if is_gpu && matches!(&node.value, Value::Scalar(Scalar::String(text)) if text == "all") {
        return vec![DeviceRequest { count: -1, capabilities: gpu(), ..DeviceRequest::default() }];
    }
    let mut requests = Vec::new();
    for item in cx.items(node, what) {
        let mut request = DeviceRequest::default();
        let mut count = None;
        for field in cx.fields(item, &keys::DEVICE_REQUEST, &format!("an entry of {what}")) {
            let (value, what) = (&field.value, format!("`{}` in {what}", field.key));
            match field.key.as_str() {
                "driver" => request.driver = cx.string(value, what),
                "device_ids" => request.device_ids = cx.words(value, what),
                "capabilities" => request.capabilities = cx.strings(value, what),
                "options" => request.options = pairs::map(cx, value, &what),
                _ => count = cx.scalar(value, what, device_count),
            }
        }
        if is_gpu && request.capabilities.is_empty() {
            request.capabilities = gpu();
        }
        if request.capabilities.is_empty() {
            let problem = Problem::value("`capabilities` is missing").hint("for example `[gpu]`");
            cx.error(item.place, problem.about(format_args!("an entry of {what}")));
        }
        if count.is_some() && !request.device_ids.is_empty() {
            let problem = Problem::new(Kind::Reference, "`count` and `device_ids` exclude each other");
            cx.error(item.place, problem.about(format_args!("an entry of {what}")));
        }
        // As in Compose: without a number and names it is all of them.
        request.count = count.unwrap_or(if request.device_ids.is_empty() { -1 } else { 0 });
        requests.push(request);
    }
    requests
}

fn device_count(node: &Node) -> Result<i64, Problem> {
    match &node.value {
        Value::Scalar(Scalar::String(text)) if text == "all" => Ok(-1),
        _ => scalar::integer(node, -1, 1024),
    }
}

/// Reads `logging`.
pub(super) fn logging(cx: &mut Context<'_>, node: &Node, service: &str) -> Logging {
    let what = format!("`logging` of {service}");
    let mut logging = Logging::default();
    for field in cx.fields(node, &keys::LOGGING, &what) {
        match field.key.as_str() {
            "driver" => logging.driver = cx.string(&field.value, format_args!("`driver` in {what}")),
            _ => logging.options = pairs::map(cx, &field.value, &format!("`options` in {what}")),
        }
    }
    logging
}

/// Reads `blkio_config`.
pub(super) fn blkio(cx: &mut Context<'_>, node: &Node, service: &str) -> BlkioConfig {
    let what = format!("`blkio_config` of {service}");
    let weight = |node: &Node| scalar::integer(node, 10, 1000).map(|weight| weight as u16);
    let count = |node: &Node| scalar::integer(node, 0, i64::MAX).map(|count| count as u64);
    let mut blkio = BlkioConfig::default();
    for field in cx.fields(node, &keys::BLKIO, &what) {
        let (value, what) = (&field.value, format!("`{}` in {what}", field.key));
        match field.key.as_str() {
            "weight" => blkio.weight = cx.scalar(value, what, weight),
            "weight_device" => blkio.weight_device = rates(cx, value, &keys::BLKIO_WEIGHT, &what, weight),
            "device_read_bps" => {
                blkio.device_read_bps = rates(cx, value, &keys::BLKIO_RATE, &what, scalar::bytes)
            }
            "device_read_iops" => blkio.device_read_iops = rates(cx, value, &keys::BLKIO_RATE, &what, count),
            "device_write_bps" => {
                blkio.device_write_bps = rates(cx, value, &keys::BLKIO_RATE, &what, scalar::bytes)
            }
            _ => blkio.device_write_iops = rates(cx, value, &keys::BLKIO_RATE, &what, count),
        }
    }
    blkio
}

fn rates<T>(
    cx: &mut Context<'_>,
    node: &Node,
    keys: &keys::Keys,
    what: &str,
    read: impl Fn(&Node) -> Result<T, Problem>,
) -> BTreeMap<String, T> {
    let mut rates = BTreeMap::new();
    for item in cx.items(node, what) {
        let (mut path, mut rate) = (None, None);
        let mut is_wrong = false;
        for field in cx.fields(item, keys, &format!("an entry of {what}")) {
            let what = format!("`{}` in {what}", field.key);
            match field.key.as_str() {
                "path" => path = cx.string(&field.value, what),
                _ => {
                    rate = cx.scalar(&field.value, what, &read);
                    is_wrong = rate.is_none();
                }
            }
        }
        match (path, rate) {
            (Some(path), Some(rate)) => {
                rates.insert(path, rate);
            }
            _ if is_wrong => {}
            _ => {
                let problem = Problem::value(format!("{} are needed", keys.supported.join(" and ")));
                cx.error(item.place, problem.about(format_args!("an entry of {what}")));
            }
        }
    }
    rates
}

/// Reads `tmpfs`: paths in the container, perhaps with options after a colon.
pub(super) fn tmpfs(cx: &mut Context<'_>, node: &Node, what: &str) -> BTreeMap<String, String> {
    let mut mounts = BTreeMap::new();
    for (place, text) in cx.one_or_more(node, what) {
        let (target, options) = text.split_once(':').unwrap_or((&text, ""));
        let target = path::clean_text(target);
        if !target.starts_with('/') || target == "/" {
            let message = format!("`{}` is no absolute path", crate::yaml_text(&text));
            let hint = "for example \"/run\" or \"/run:size=64m\"";
            cx.error(place, Problem::value(message).hint(hint).about(what));
            continue;
        }
        mounts.insert(target, options.to_owned());
    }
    mounts
}

/// Reads `security_opt`; the file of a seccomp profile is read, because only its content travels.
pub(super) fn security_opt(cx: &mut Context<'_>, node: &Node, what: &str) -> Vec<String> {
    let mut options: Vec<String> = Vec::new();
    for item in cx.items(node, what) {
        let Some(option) = cx.string(item, what) else { continue };
        let option = match option.split_once(['=', ':']) {
            Some(("seccomp", profile)) => match seccomp(cx, item.place, profile, what) {
                Some(content) => format!("seccomp={content}"),
                None => continue,
            },
            Some((name, value)) => format!("{name}={value}"),
            None => option,
        };
        if !options.contains(&option) {
            options.push(option);
        }
    }
    options
}

fn seccomp(cx: &mut Context<'_>, place: Place, profile: &str, what: &str) -> Option<String> {
    if matches!(profile, "unconfined" | "builtin") || profile.starts_with('{') {
        return Some(profile.to_owned());
    }
    let text = cx.read_file(place, profile, what)?;
    match serde_json::from_str::<serde_json::Value>(&text) {
        Ok(content) if content.is_object() => Some(content.to_string()),
        Ok(_) | Err(_) => {
            let message = format!("`{}` is no seccomp profile", crate::yaml_text(profile));
            cx.error(place, Problem::value(message).hint("it is a JSON object").about(what));
            None
        }
    }
}

/// Reads `pull_policy`.
pub(super) fn pull_policy(node: &Node) -> Result<PullPolicy, Problem> {
    if let Value::Scalar(Scalar::String(text)) = &node.value
        && (matches!(text.as_str(), "daily" | "weekly" | "refresh") || text.starts_with("every_"))
    {
        let message = format!("`{}` pulls by the clock, which Wharf does not", crate::yaml_text(text));
        return Err(Problem::unsupported(message).hint("`always` pulls at each deploy"));
    }
    let words = [
        ("always", PullPolicy::Always),
        ("missing", PullPolicy::Missing),
        ("if_not_present", PullPolicy::Missing),
        ("never", PullPolicy::Never),
        ("build", PullPolicy::Build),
    ];
    scalar::word(node, &words)
}

/// A time in microseconds: a number, or a duration.
pub(super) fn microseconds(node: &Node) -> Result<i64, Problem> {
    if let Ok(number) = scalar::integer(node, -1, i64::from(u32::MAX)) {
        return Ok(number);
    }
    let duration = scalar::duration(node)?;
    i64::try_from(duration.as_micros()).map_err(|_| Problem::value("the duration is too long"))
}

/// `memswap_limit`: a number of bytes, or -1 for no limit.
pub(super) fn swap_bytes(node: &Node) -> Result<i64, Problem> {
    if let Ok(-1) = scalar::integer(node, -1, -1) {
        return Ok(-1);
    }
    let bytes = scalar::bytes(node)?;
    i64::try_from(bytes).map_err(|_| Problem::value("more bytes than there can be"))
}

/// A MAC address of six octets, in lower case with colons.
pub(super) fn mac_address(cx: &mut Context<'_>, node: &Node, what: &str) -> Option<String> {
    let text = cx.string(node, what)?;
    let address = text.to_ascii_lowercase().replace('-', ":");
    let octets: Vec<&str> = address.split(':').collect();
    let is_octet = |octet: &&str| octet.len() == 2 && octet.bytes().all(|byte| byte.is_ascii_hexdigit());
    if octets.len() != 6 || !octets.iter().all(is_octet) {
        let message = format!("`{}` is no MAC address", crate::yaml_text(&text));
        cx.error(node.place, Problem::value(message).hint("for example 02:42:ac:11:00:05").about(what));
        return None;
    }
    Some(address)
}
